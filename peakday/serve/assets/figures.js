// Small charts as SVG: steps from one sum to another, bars, and lines over time. All text is set as text.
(() => {
  "use strict";
  const NS = "http://www.w3.org/2000/svg";
  const node = (tag, attributes = {}, text = null) => {
    const made = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== null) made.textContent = text;
    return made;
  };
  const frame = (place, width, height, label) => {
    const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart-svg" });
    place.replaceChildren(svg);
    return svg;
  };
  const short = (value) => {
    const size = Math.abs(value);
    const [by, unit] = size >= 1e9 ? [1e9, "B"] : size >= 1e6 ? [1e6, "M"] : size >= 1e3 ? [1e3, "k"] : [1, ""];
    return `${Number((value / by).toPrecision(3))}${unit}`;
  };
  const widthOf = (place) => Math.max(280, Math.min(760, place.clientWidth || 640));

  // From one sum to another: each step hangs where the one before it ended.
  const steps = (place, from, to, list) => {
    const rows = [["base", 0, from, "sum", `$${short(from)}`]];
    let at = from;
    for (const step of list) { rows.push([step.name, at, at + step.usd, step.usd < 0 ? "down" : "up", step.text]); at += step.usd; }
    rows.push(["this", 0, to, "sum", `$${short(to)}`]);
    const width = widthOf(place), left = 74, line = 26;
    const right = 16 + 7.2 * Math.max(...rows.map((row) => row[4].length));
    const ends = rows.flatMap((row) => [row[1], row[2]]);
    const high = Math.max(...ends), low = Math.min(0, ...ends);
    const x = (value) => left + (width - left - right) * (value - low) / (high - low || 1);
    const svg = frame(place, width, rows.length * line + 6, `From $${short(from)} to $${short(to)}: ${list.map((step) => `${step.name} ${step.text}`).join(", ") || "nothing moved"}`);
    rows.forEach(([name, start, end, kind, text], index) => {
      const top = index * line + 4;
      svg.append(node("text", { x: 0, y: top + 14, class: "quiet" }, name));
      svg.append(node("rect", { x: x(Math.min(start, end)), y: top, width: Math.max(1.5, Math.abs(x(end) - x(start))), height: 18, class: `bar-${kind}` }));
      svg.append(node("text", { x: x(Math.max(start, end)) + 6, y: top + 14 }, text));
    });
  };

  const bars = (place, list, label) => {
    const width = widthOf(place), left = Math.min(230, width * 0.48), line = 24;
    const svg = frame(place, width, list.length * line + 4, `${label}: ${list.map((row) => `${row.name} ${row.text}`).join(", ")}`);
    const most = Math.max(...list.map((row) => row.share), 1e-9);
    list.forEach((row, index) => {
      const top = index * line + 2;
      svg.append(node("text", { x: 0, y: top + 14, class: "quiet" }, row.name.length > left / 6.4 ? `${row.name.slice(0, Math.floor(left / 6.4) - 1)}…` : row.name));
      const wide = Math.max(1.5, (width - left - 52) * row.share / most);
      svg.append(node("rect", { x: left, y: top + 2, width: wide, height: 15, class: "bar-sum" }));
      svg.append(node("text", { x: left + wide + 6, y: top + 14 }, row.text));
    });
  };

  const axis = (svg, width, height, left, bottom, most, unit, span, spanUnit) => {
    for (let k = 0; k <= 4; k += 1) {
      const y = height - bottom - (height - bottom - 8) * k / 4;
      svg.append(node("line", { x1: left, x2: width - 4, y1: y, y2: y, class: "grid" }));
      svg.append(node("text", { x: left - 6, y: y + 4, class: "quiet end" }, `${short(most * k / 4)}${k === 4 ? unit : ""}`));
    }
    for (let k = 0; k <= 4; k += 1) {
      const x = left + (width - left - 4) * k / 4;
      svg.append(node("text", { x, y: height - 5, class: `quiet ${k === 4 ? "end" : k ? "middle" : ""}` }, `${Number((span * k / 4).toPrecision(3))}${k === 4 ? ` ${spanUnit}` : ""}`));
    }
  };

  // Chips of each region by the hour, as steps; the dashed line is the flat fleet.
  const hours = (place, rows) => {
    const width = widthOf(place), height = 210, left = 48, bottom = 24;
    const count = Math.max(...rows.map((row) => row.chips.length), 1);
    const most = Math.max(...rows.flatMap((row) => [...row.chips, row.flat]), 1);
    const svg = frame(place, width, height, `Chips by hour: ${rows.map((row) => `${row.region} at most ${short(Math.max(...row.chips, 0))} of ${short(row.flat)}`).join(", ")}`);
    axis(svg, width, height, left, bottom, most, "", count, "h");
    const x = (hour) => left + (width - left - 4) * hour / count;
    const y = (value) => height - bottom - (height - bottom - 8) * value / most;
    rows.forEach((row, index) => {
      const path = row.chips.map((value, hour) => `${hour ? "L" : "M"}${x(hour)},${y(value)}L${x(hour + 1)},${y(value)}`).join("");
      svg.append(node("path", { d: path, class: `line line-${index % 6 + 1}` }));
      svg.append(node("path", { d: `M${left},${y(row.flat)}L${width - 4},${y(row.flat)}`, class: `line flat line-${index % 6 + 1}` }));
    });
    legend(place, rows.map((row) => row.region));
  };

  const legend = (place, names) => {
    const list = document.createElement("p");
    list.className = "legend";
    names.forEach((name, index) => {
      const item = document.createElement("span");
      item.className = `key-${index % 6 + 1}`;
      item.textContent = name;
      list.append(item);
    });
    place.append(list);
  };
  window.figures = { node, frame, steps, bars, hours, axis, legend, short, widthOf };
})();
