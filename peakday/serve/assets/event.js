// The picture of an event's demand: handles that are dragged change the YAML, and YAML that is typed changes the picture.
(() => {
  "use strict";
  const { make, notice, send } = window.peakday;
  const { node, frame, axis, legend, short } = window.figures;
  const at = (id) => document.getElementById(id);
  const root = document.documentElement;
  const yaml = at("yaml");
  let picture = null, waiting = 0, turn = 0;

  const draw = (peak) => {
    const place = at("demand"), width = Math.max(280, place.clientWidth || 700), height = Math.max(220, Math.min(340, width * 0.5)), left = 50, bottom = 26;
    const scale = peak.mid / (picture.peak.mid || 1);
    const rates = picture.rate_per_s.map((rate) => rate * scale);
    const top = Math.max(...rates, 1e-9), low = peak.mid ? peak.low / peak.mid : 1, high = peak.mid ? peak.high / peak.mid : 1;
    const most = dragging ? dragging.most : top * Math.max(high, 1) * 1.08;
    const hours = picture.length_s >= 7200, span = picture.length_s / (hours ? 3600 : 1);
    const svg = frame(place, width, height, `Demand of ${picture.name}: peak ${short(peak.mid)} a second, ${short(peak.low)} to ${short(peak.high)}; ${picture.drops.length} deal drops`);
    svg.setAttribute("role", "group");
    axis(svg, width, height, left, bottom, most, "/s", span, hours ? "h" : "s");
    const x = (offset) => left + (width - left - 6) * offset / picture.length_s;
    const y = (rate) => height - bottom - (height - bottom - 8) * Math.min(rate, most) / most;
    const line = (factor) => picture.offset_s.map((offset, i) => `${x(offset).toFixed(1)},${y(rates[i] * factor).toFixed(1)}`);
    svg.append(node("path", { d: `M${line(high).join("L")}L${line(low).reverse().join("L")}Z`, class: "band" }));
    const names = Object.keys(picture.regions);
    if (names.length > 1) names.forEach((name, index) => svg.append(node("path", { d: `M${picture.offset_s.map((offset, i) => `${x(offset).toFixed(1)},${y(picture.regions[name][i] * scale).toFixed(1)}`).join("L")}`, class: `line thin line-${(index + 1) % 6 + 1}` })));
    svg.append(node("path", { d: `M${line(1).join("L")}`, class: "line line-1" }));
    for (const drop of picture.drops) svg.append(node("path", { d: `M${x(drop.at_s)},${height - bottom}l-5,9h10z`, class: "drop" }));
    const where = x(picture.offset_s[rates.indexOf(Math.max(...rates))]);
    for (const [part, factor, words] of [["low", low, "Peak, low"], ["high", high, "Peak, high"], ["mid", 1, "Peak, middle"]]) {
      const handle = node("circle", { cx: where, cy: y(top * factor), r: part === "mid" ? 8 : 6, class: `handle ${part}`, tabindex: 0, role: "slider", "aria-label": words, "aria-valuenow": peak[part], "aria-valuemin": 0, "aria-valuetext": `${short(peak[part])} a second`, "aria-orientation": "vertical", "data-handle": part });
      svg.append(handle);
    }
    svg.dataset.per = most / (height - bottom - 8) * picture.peak.mid / (Math.max(...picture.rate_per_s) || 1) * (height / svg.getBoundingClientRect().height || 1);
    svg.dataset.left = left / width;
    svg.dataset.right = 6 / width;
    svg.dataset.most = most;
    legend(place, ["all", ...(names.length > 1 ? names : [])]);
  };

  const moved = (peak, part, value) => {
    const next = { ...peak, [part]: Math.max(0, Number(value.toPrecision(4))) };
    if (part === "mid" && peak.mid > 0) { // the range keeps its ratios
      next.low = Number((peak.low * next.mid / peak.mid).toPrecision(4));
      next.high = Number((peak.high * next.mid / peak.mid).toPrecision(4));
    }
    next.low = Math.min(next.low, next.mid);
    next.high = Math.max(next.high, next.mid);
    return next;
  };
  const numbers = (peak) => { for (const part of ["low", "mid", "high"]) if (document.activeElement !== at(part)) at(part).value = peak[part]; };

  let dragging = null;
  const place = at("demand");
  place.addEventListener("pointerdown", (event) => {
    const part = event.target.dataset?.handle;
    if (!part || !picture) return;
    event.preventDefault();
    const svg = place.querySelector("svg");
    dragging = { part, from: event.clientY, peak: picture.peak, next: picture.peak, per: Number(svg.dataset.per), most: Number(svg.dataset.most) };
    place.setPointerCapture(event.pointerId);
  });
  place.addEventListener("pointermove", (event) => {
    if (!dragging) return;
    dragging.next = moved(dragging.peak, dragging.part, dragging.peak[dragging.part] + (dragging.from - event.clientY) * dragging.per);
    numbers(dragging.next);
    draw(dragging.next);
  });
  const drop = () => {
    if (!dragging) return;
    const next = dragging.next;
    dragging = null;
    edit({ kind: "peak", low: next.low, mid: next.mid, high: next.high });
  };
  place.addEventListener("pointerup", drop);
  place.addEventListener("pointercancel", drop);
  place.addEventListener("keydown", (event) => {
    const part = event.target.dataset?.handle, steps = { ArrowUp: 1.05, ArrowDown: 1 / 1.05, PageUp: 1.25, PageDown: 0.8 };
    if (!part || !steps[event.key]) return;
    event.preventDefault();
    const next = moved(picture.peak, part, picture.peak[part] * steps[event.key]);
    edit({ kind: "peak", low: next.low, mid: next.mid, high: next.high }, part);
  });
  place.addEventListener("dblclick", (event) => {
    const svg = place.querySelector("svg"), bounds = svg.getBoundingClientRect();
    const share = ((event.clientX - bounds.left) / bounds.width - svg.dataset.left) / (1 - svg.dataset.left - svg.dataset.right);
    if (share >= 0 && share <= 1) edit({ kind: "add_drop", at_s: Math.round(share * picture.length_s) });
  });

  const shown = (data, focus) => {
    yaml.value = data.text;
    picture = data.picture;
    at("name").textContent = picture.name;
    at("totals").textContent = `${picture.totals}.`;
    numbers(picture.peak);
    draw(picture.peak);
    at("drops").replaceChildren(...picture.drops.map((one) => {
      const item = make("li", one.text), button = make("button", "remove", { type: "button", "data-drop": one.at_s, "aria-label": `Remove the deal drop at ${one.text}` });
      item.append(" ", button);
      return item;
    }));
    at("advice").replaceChildren(...picture.warnings.map((text) => make("li", text)));
    if (focus) place.querySelector(`[data-handle="${focus}"]`)?.focus();
  };
  const look = async (change = null, focus = null) => {
    turn += 1;
    const mine = turn, query = new URLSearchParams({ yaml: yaml.value });
    if (change) query.append("edit", JSON.stringify(change));
    const answer = await fetch(`/event/picture?${query}`);
    const data = await answer.json();
    if (mine !== turn) return;
    yaml.setAttribute("aria-invalid", String(!answer.ok));
    at("problem").classList.toggle("bad", !answer.ok);
    at("problem").textContent = answer.ok ? "" : data.error;
    if (answer.ok) {
      shown(change ? data : { ...data, text: yaml.value }, focus);
      history.replaceState(null, "", `/event?${new URLSearchParams({ yaml: yaml.value })}`);
    } else if (picture) draw(picture.peak);
    root.dataset.pictured = String(mine);
  };
  const edit = (change, focus = null) => look(change, focus).catch((error) => notice(error.message));

  yaml.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(look, 300); });
  for (const part of ["low", "mid", "high"])
    at(part).addEventListener("change", () => {
      const next = { ...picture.peak, [part]: Number(at(part).value) };
      edit({ kind: "peak", low: next.low, mid: next.mid, high: next.high });
    });
  at("drops").addEventListener("click", (event) => {
    const button = event.target.closest("[data-drop]");
    if (button) edit({ kind: "remove_drop", at_s: Number(button.dataset.drop) });
  });
  at("drop").addEventListener("submit", (event) => {
    event.preventDefault();
    edit({ kind: "add_drop", at_s: Number(at("at").value) * 3600, boost_ratio: Number(at("boost").value) / 100, decay_s: Number(at("fades").value) * 60 });
  });
  at("save")?.addEventListener("click", async () => {
    try {
      const kept = await send("/event/save", { yaml: yaml.value });
      at("kept").replaceChildren("Saved: ", make("a", `what if, from ${kept.id}`, { href: kept.href }));
    } catch (error) { at("kept").textContent = error.message; }
  });
  addEventListener("resize", () => { if (picture && !dragging) draw(picture.peak); });
  look();
})();
