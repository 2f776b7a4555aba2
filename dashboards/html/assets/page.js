// Draws the charts of the page in its colours, and again when the colours or the width change.
(() => {
  "use strict";
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const root = document.documentElement;
  const narrow = () => window.innerWidth < 640;

  // Only a key that names a colour is looked up: a model may be called "@ink".
  const coloured = (value, style, key = "") => {
    if (typeof value === "string")
      return /color$/.test(key) && value[0] === "@" ? style.getPropertyValue("--" + value.slice(1)).trim() : value;
    if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map((item) => coloured(item, style, key));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, coloured(item, style, name)]));
    return value;
  };

  const draw = () => {
    const style = getComputedStyle(root);
    for (const place of document.querySelectorAll(".chart")) {
      const chart = coloured(charts[place.dataset.chart], style);
      chart.layout.font.family = style.getPropertyValue("--sans");
      if (narrow()) chart.layout.font.size = 11;
      Plotly.react(place, chart.data, chart.layout, {
        responsive: true,
        displaylogo: false,
        displayModeBar: false,
        scrollZoom: false,
      });
    }
    root.dataset.drawn = "yes";
  };

  const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    if (window.Plotly) draw();
  });
  if (!window.Plotly) {
    root.dataset.drawn = "yes"; // a page without charts
    return;
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
