// Shows how a run stands, every second, as the coordinator reports it. Text is set as text, never as markup.
(() => {
  "use strict";
  const root = document.documentElement;
  const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
  });

  const rows = (value, name = "") =>
    value !== null && typeof value === "object"
      ? Object.entries(value).flatMap(([key, item]) => rows(item, name ? `${name} ${key}` : key))
      : [[name, value === null ? "–" : String(value)]];

  const cell = (tag, text, kind) => {
    const element = document.createElement(tag);
    element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };

  const show = async () => {
    let state;
    try {
      state = await (await fetch("peak/live")).json();
    } catch {
      document.getElementById("line").textContent = "the run has ended, or cannot be reached";
      return;
    }
    document.getElementById("line").textContent = state.line;
    const body = document.getElementById("live");
    body.replaceChildren(
      ...rows(state.live).map(([name, value]) => {
        const row = document.createElement("tr");
        const head = cell("th", name.replaceAll("_", " "));
        head.scope = "row";
        row.append(head, cell("td", value, "n"));
        return row;
      }),
    );
    root.dataset.drawn = "yes";
  };
  setInterval(show, 1000);
  show();
})();
