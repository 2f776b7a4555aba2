// What every page does: colours, notices, writes with the page's token, the chain behind a number; and live runs.
(() => {
  "use strict";
  const root = document.documentElement;
  const kept = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  if (kept()) root.dataset.theme = kept();

  const make = (tag, text, attributes = {}) => {
    const node = document.createElement(tag);
    if (text !== null && text !== undefined) node.textContent = text;
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };
  let hiding = 0;
  const notice = (text) => {
    const place = document.getElementById("notice");
    place.textContent = text;
    place.hidden = !text;
    clearTimeout(hiding);
    hiding = setTimeout(() => { place.hidden = true; }, 8000);
  };
  const send = async (url, body) => {
    const token = document.querySelector('meta[name="peakday-token"]').content;
    const answer = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Peakday-Csrf": token },
      body: JSON.stringify(body),
    });
    const data = await answer.json();
    if (!answer.ok) throw new Error(data.error);
    return data;
  };
  // A stream is open while somebody looks: fifty tabs must not hold fifty connections.
  const listen = (url, hear) => {
    let source = null;
    const turn = () => {
      if (document.hidden) { source?.close(); source = null; return; }
      if (source) return;
      source = new EventSource(url);
      source.onmessage = (event) => hear(JSON.parse(event.data));
    };
    document.addEventListener("visibilitychange", turn);
    turn();
  };
  window.peakday = { make, notice, send, listen };

  const explain = async (url) => {
    const answer = await fetch(url);
    const data = await answer.json();
    const body = document.getElementById("why-body");
    if (!answer.ok) { notice(data.error); return; }
    const list = make("ol");
    for (const link of data.links) {
      const item = make("li");
      item.append(make("strong", `${link.name} = ${link.text}`));
      if (link.formula) item.append(make("span", `: ${link.formula}`));
      item.append(document.createElement("br"), make("small", `${link.provenance} · ${link.source}`));
      list.append(item);
    }
    body.replaceChildren(make("p", `${data.label}: ${data.shown}`), list, make("p", data.command ? `The same: ${data.command}` : "", { class: "say" }));
    document.getElementById("why").showModal();
  };

  const running = () => {
    const section = document.getElementById("running");
    if (!section) return;
    const place = document.getElementById("going");
    const writes = Boolean(document.querySelector('meta[name="peakday-token"]').content);
    let newest = null;
    const card = (run) => {
      const box = make("article", null, { class: "run-card", "aria-label": `Run ${run.id}` });
      const head = make("h3");
      head.append(make("span", run.id), make("span", run.state, { class: "mark going" }));
      const figures = make("dl", null, { class: "figures" });
      for (const figure of run.figures) {
        const row = make("div");
        row.append(make("dt", figure.name), make("dd", figure.text, { class: figure.tone }));
        figures.append(row);
      }
      box.append(head, make("progress", null, { max: 1, value: run.share, "aria-label": "Time of the run that is over" }), figures);
      if (writes) {
        const actions = make("p", null, { class: "actions" });
        for (const [wish, words] of [["stop", "Stop: let turns in flight end"], ["abort", "Abort: cut them off"]]) {
          const button = make("button", words, { type: "button", "data-wish": wish, "data-run": run.id, class: wish === "abort" ? "danger" : "" });
          actions.append(button);
        }
        box.append(actions);
      }
      return box;
    };
    place.addEventListener("click", async (event) => {
      const button = event.target.closest("[data-wish]");
      if (!button) return;
      try {
        await send(`/runs/${encodeURIComponent(button.dataset.run)}/end`, { wish: button.dataset.wish });
        notice(button.dataset.wish === "stop" ? "No more turns begin; those in flight end." : "Turns in flight are cut off.");
      } catch (error) { notice(error.message); }
    });
    listen("/events", (state) => {
      section.hidden = !state.going.length;
      const focused = document.activeElement?.dataset?.wish && `[data-wish="${document.activeElement.dataset.wish}"]`;
      place.replaceChildren(...state.going.map(card));
      if (focused) place.querySelector(focused)?.focus();
      if (newest !== null && newest !== state.newest) refresh();
      newest = state.newest;
    });
  };

  // The list again, without losing what was ticked or typed.
  const refresh = async () => {
    const text = await (await fetch(location.href)).text();
    const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("table.records tbody");
    const body = document.querySelector("table.records tbody");
    if (!fresh || !body) { location.reload(); return; }
    const ticked = new Set([...body.querySelectorAll("input:checked")].map((input) => input.value));
    body.replaceChildren(...fresh.children);
    for (const input of body.querySelectorAll("input")) input.checked = ticked.has(input.value);
  };

  // A part of the page as it is now, looked at again while somebody looks.
  const again = () => {
    const part = document.getElementById("again");
    if (!part) return;
    setInterval(async () => {
      if (document.hidden) return;
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
      const fresh = answer && new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("again");
      if (fresh) part.replaceChildren(...fresh.children); else notice("The source does not answer; this is the last minute that it did.");
    }, 1000 * Number(part.dataset.everyS));
  };

  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      try { localStorage.setItem("theme", root.dataset.theme); } catch { /* the browser keeps nothing */ }
    });
    document.addEventListener("click", (event) => {
      const number = event.target.closest("[data-why]");
      if (number) explain(number.dataset.why);
    });
    const filter = document.querySelector("form.filter");
    filter?.addEventListener("change", (event) => { if (event.target.type === "radio") filter.submit(); });
    const table = document.querySelector("table.records");
    const button = document.getElementById("compare-button");
    const ticks = () => {
      const ticked = [...document.querySelectorAll("table.records input:checked")].map((input) => input.value.split("/")[0]);
      button.disabled = ticked.length !== 2 || ticked[0] !== ticked[1];
    };
    if (table && button) { table.addEventListener("change", ticks); ticks(); }
    running();
    again();
    root.dataset.drawn = "yes";
  });
})();
