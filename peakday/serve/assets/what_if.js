// The form of a what-if: what differs from the base becomes settings, settings become an address, and the address an answer.
(() => {
  "use strict";
  const { make, notice, send } = window.peakday;
  const form = document.getElementById("what-if");
  const at = (id) => document.getElementById(id);
  let source = null, waiting = 0, last = null;

  const same = (control, value) => value === control.dataset.base || (control.dataset.kind === "number" && value !== "" && control.dataset.base !== "" && Number(value) === Number(control.dataset.base));
  const valueOf = (control) => {
    if (control.dataset.kind === "many") return `[${[...control.querySelectorAll("input:checked")].map((input) => input.value).join(", ")}]`;
    return control.dataset.kind === "switch" ? String(control.checked) : control.value.trim();
  };
  const question = () => {
    const sets = [], prices = [], whole = new Map();
    for (const control of form.querySelectorAll("[data-key]")) {
      const value = valueOf(control), key = control.dataset.key;
      if (control.dataset.part) {
        const known = whole.get(key) || { parts: [], moved: false };
        known.parts.push(`${control.dataset.part}: ${value || "null"}`);
        known.moved ||= !same(control, value);
        whole.set(key, known);
        if (known.parts.length === form.querySelectorAll(`[data-key="${key}"]`).length && known.moved) sets.push(`${key}={${known.parts.join(", ")}}`);
      } else if (!same(control, value)) {
        if (key.startsWith("price:")) prices.push(`${key.slice(6)}=${value}`);
        else sets.push(`${key}=${value === "" ? "null" : value}`);
      }
    }
    for (const line of at("free").value.split("\n").map((text) => text.trim()).filter(Boolean))
      (line.startsWith("price:") ? prices : sets).push(line.replace(/^price:/, ""));
    const seed = form.dataset.seed;
    return { scenario: form.dataset.scenario, sets, prices, run: form.dataset.run, seed: seed === "" ? null : Number(seed) };
  };
  const queryOf = (asked) => {
    const query = new URLSearchParams([["scenario", asked.scenario], ...asked.sets.map((text) => ["set", text]), ...asked.prices.map((text) => ["price", text])]);
    if (asked.run) query.append("run", asked.run);
    if (asked.seed !== null) query.append("seed", asked.seed);
    return query.toString();
  };

  const item = (text) => make("li", text);
  const cells = (row, texts, numeric = []) => texts.forEach((text, index) => row.append(make("td", text, numeric.includes(index) ? { class: "n" } : {})));
  const why = (key) => `/what-if/why?${last.query}&number=${encodeURIComponent(key)}`;
  const show = (data) => {
    last = data;
    at("tiles").replaceChildren(...data.tiles.map((tile) => {
      const box = make(tile.why ? "button" : "div", null, { class: "tile", ...(tile.why ? { type: "button", "data-why": why(tile.why) } : {}) });
      box.append(make("span", tile.label, { class: "label" }), make("span", tile.text, { class: "v" }));
      if (tile.range) box.append(make("small", tile.range));
      if (tile.was) box.append(make("small", `base: ${tile.was}`, { class: "was" }));
      return box;
    }));
    at("glance").textContent = `${data.tiles[0].text} ${data.tiles[0].was ? `(base ${data.tiles[0].was})` : data.tiles[0].label.toLowerCase()}`;
    at("glance").hidden = false;
    at("limit").textContent = data.first_limit.now;
    at("limit-was").textContent = data.first_limit.base === data.first_limit.now ? "" : `base: ${data.first_limit.base}`;
    at("short").replaceChildren(...data.short.map((text) => item(`short: ${text}`)));
    at("bridge-sentence").textContent = data.bridge.sentence;
    window.figures.steps(at("bridge"), data.bridge.from, data.bridge.to, data.bridge.steps);
    at("chips").replaceChildren(...data.chips.map((fleet) => {
      const row = make("tr"), head = make("th", `${fleet.model}, ${fleet.region}`, { scope: "row" }), cell = make("td", null, { class: "n" });
      cell.append(make("button", fleet.text, { type: "button", class: "number", "data-why": why(fleet.why) }));
      if (fleet.range) cell.append(make("small", fleet.range));
      row.append(head, cell);
      cells(row, [fleet.was, fleet.instances, fleet.usd, fleet.binding], [2]);
      return row;
    }));
    if (data.hours.length) window.figures.hours(at("hours"), data.hours); else at("hours").replaceChildren();
    at("range").textContent = `Cost of the event: ${data.range.text}, with ${Math.round(100 * data.range.confidence)}% confidence. Share of its spread that knowing one cause would remove:`;
    window.figures.bars(at("causes"), data.range.causes, "Causes of the range");
    at("moves").replaceChildren(...data.range.moves.map((move) => { const row = make("tr"); row.append(make("th", move.input, { scope: "row" })); cells(row, [move.output, move.text]); return row; }));
    at("decisions").replaceChildren(...data.decisions.map(item));
    at("warnings").replaceChildren(...data.warnings.map(item));
    at("command").textContent = data.command;
    at("shown").hidden = false;
    at("answer").classList.remove("old");
    at("progress").textContent = data.simulated ? "SIMULATED: an emulated run touched these figures" : "";
    document.documentElement.dataset.answered = data.query;
  };

  const mark = () => {
    for (const control of form.querySelectorAll("[data-key]")) control.classList.toggle("changed", !same(control, valueOf(control)));
  };
  const ask = () => {
    const asked = question(), query = queryOf(asked);
    mark();
    history.replaceState(null, "", `/what-if?${query}`);
    source?.close();
    at("answer").classList.add("old");
    at("progress").textContent = "planning";
    source = new EventSource(`/what-if/answer?${query}`);
    source.addEventListener("progress", (event) => { at("progress").textContent = JSON.parse(event.data).text; });
    source.addEventListener("answer", (event) => { source.close(); at("progress").classList.remove("bad"); show(JSON.parse(event.data)); });
    source.addEventListener("refused", (event) => {
      source.close();
      at("progress").classList.add("bad");
      at("progress").textContent = JSON.parse(event.data).error;
      document.documentElement.dataset.answered = "refused";
    });
  };
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(ask, 350); };
  form.addEventListener("input", (event) => { if (!event.target.id.startsWith("more-")) soon(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });

  // So many per cent more in one region: the peak grows by its share, and the shares follow.
  at("more").addEventListener("click", () => {
    const ratio = Number(at("more-ratio").value) / 100, chosen = at("more-region").value;
    const shares = [...form.querySelectorAll('[data-key^="event.regions."]')];
    const grown = shares.map((input) => Number(input.value) * (!chosen || input.dataset.key === chosen ? 1 + ratio : 1));
    const total = grown.reduce((sum, share) => sum + share, 0);
    if (!(total > 0)) { notice("The shares must sum to more than 0."); return; }
    if (chosen) {
      let rest = 1;
      shares.forEach((input, index) => {
        const share = index === shares.length - 1 ? rest : Math.round(grown[index] / total * 1e6) / 1e6;
        rest = Math.round((rest - share) * 1e6) / 1e6;
        input.value = share;
      });
    }
    for (const part of ["low", "mid", "high"]) {
      const input = form.querySelector(`[data-part="${part}"]`);
      input.value = Number((Number(input.value) * total).toPrecision(9));
    }
    ask();
  });
  at("back").addEventListener("click", () => { location.href = `/what-if?${queryOf({ ...question(), sets: [], prices: [] })}`; });

  const keep = (url, body) => async () => {
    try {
      const kept = await send(url, body());
      const link = make("a", kept.id, { href: kept.href });
      at("kept").replaceChildren("Saved: ", link);
    } catch (error) { at("kept").textContent = error.message; }
  };
  at("keep-plan")?.addEventListener("click", keep("/what-if/plan", question));
  at("keep-scenario")?.addEventListener("click", keep("/what-if/scenario", () => ({ ...question(), name: at("name").value.trim() })));
  addEventListener("resize", () => { if (last) show(last); });
  ask();
})();
