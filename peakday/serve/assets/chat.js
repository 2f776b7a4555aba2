// Starts and stops the stack whose page is shown.
(() => {
  "use strict";
  const { send } = window.peakday;
  const at = (id) => document.getElementById(id);
  const act = (url, body, words) => async (event) => {
    event.target.disabled = true;
    at("state").textContent = words;
    try {
      await send(url, body());
      location.reload();
    } catch (error) {
      at("state").textContent = error.message;
      event.target.disabled = false;
    }
  };
  at("start")?.addEventListener("click", act("/chat/start", () => ({ scenario: at("scenario").value }), "starting: a shop is made, then the emulator and the assistant"));
  at("stop")?.addEventListener("click", act("/chat/stop", () => ({}), "stopping"));
})();
