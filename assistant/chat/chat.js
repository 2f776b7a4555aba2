"use strict";
// Text enters the page as text alone: nothing that a model, a product or a page says becomes markup.
const at = (id) => document.getElementById(id);
const state = { token: null, conversation: "", turn: 0, product: null, pending: null, busy: false, watch: null };

function make(name, text, more = {}) {
  const node = document.createElement(name);
  if (text !== undefined && text !== null) node.textContent = String(text);
  for (const [key, value] of Object.entries(more)) node.setAttribute(key, value);
  return node;
}
function draw(name, more = {}, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(more)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
const fill = (id, nodes) => at(id).replaceChildren(...(nodes.length ? nodes : [make("li", "nothing yet")]));
const money = (amount, currency = "USD") => `${Number(amount).toFixed(2)} ${currency}`;
const ms = (seconds) => (seconds === null || seconds === undefined ? "-" : `${Math.round(seconds * 1000)} ms`);
const say = (text) => { at("status").textContent = text; };

async function call(path, body) {
  const headers = { Authorization: `Bearer ${state.token}` };
  if (path.startsWith("/test/")) headers["X-Peakday-Token"] = location.hash.slice(1);
  const options = body === undefined ? { headers } : { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(path, options);
  if (!answer.ok) {
    let why = `${answer.status}`;
    try { why = (await answer.json()).error.message; } catch { /* no JSON: the status says it */ }
    throw new Error(why);
  }
  return answer;
}

async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    for (let end = held.indexOf("\n\n"); end >= 0; end = held.indexOf("\n\n")) {
      const lines = held.slice(0, end).split("\n");
      held = held.slice(end + 2);
      const name = lines.find((line) => line.startsWith("event: "));
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      if (data) yield [name ? name.slice(7) : "message", JSON.parse(data)];
    }
  }
}

function toEnd() {
  at("log").scrollTop = at("log").scrollHeight;
}

function bubble(who, mine) {
  const box = make("div", null, { class: mine ? "turn me" : "turn" });
  box.append(make("span", who, { class: "who" }));
  const doing = make("span", "", { class: "doing" });
  const text = make("span", "");
  if (!mine) box.append(doing);
  box.append(text);
  at("log").append(box);
  toEnd();
  return { box, doing, text };
}

async function start() {
  const customer = at("customer").value.trim();
  const made = await fetch("/v1/sessions", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ customer_id: customer }) });
  if (!made.ok) { say(`No session for ${customer}: ${(await made.json()).error.message}`); return; }
  state.token = (await made.json()).sessions[0].session_token;
  state.conversation = `page-${Date.now().toString(36)}`;
  state.turn = 0;
  at("log").replaceChildren();
  say(`You are ${customer}.`);
  await account();
  watch();
}

async function turn(message, confirm, picture) {
  if (state.busy) return;
  state.busy = true;
  at("send").disabled = true;
  document.querySelectorAll(".ask").forEach((node) => node.remove());
  bubble("You", true).text.textContent = message;
  const { box, doing, text } = bubble("Assistant", false);
  const seen = { usage: [], tool: [], meta: null, done: null };
  const body = { interaction_id: state.conversation, turn_index: state.turn, message, locale: at("locale").value };
  if (state.product) body.page = { product_id: state.product };
  if (confirm) body.confirm = confirm;
  if (picture) body.images = [picture];
  say("The assistant is answering.");
  try {
    state.turn += 1;
    for await (const [name, event] of events(await call("/v1/turns", body))) {
      if (name === "meta") { seen.meta = event; at("simulated").hidden = !event.simulated; }
      if (name === "delta") text.textContent += event.text;
      if (name === "tool") { seen.tool.push(event); doing.textContent = `used ${seen.tool.map((tool) => tool.tool).join(", ")}`; }
      if (name === "usage") seen.usage.push(event);
      if (name === "error") text.textContent += `\n[${event.code}: ${event.message}]`;
      if (name === "done") seen.done = event;
    }
    sources(box, seen.done);
    ask(seen.done && seen.done.pending_confirmation);
    hood(seen);
    say("Answered.");
  } catch (error) {
    text.textContent = `It did not work: ${error.message}`;
    say("It did not work.");
  }
  state.busy = false;
  at("send").disabled = false;
  toEnd();
  await account();
}

function sources(box, done) {
  if (!done || !done.citations.length) return;
  const list = make("ul", null, { class: "sources", "aria-label": "Sources" });
  for (const url of done.citations) {
    if (!/^https?:\/\//.test(url)) continue;
    const item = make("li");
    item.append(make("a", url, { href: url, rel: "noopener noreferrer nofollow", target: "_blank" }));
    list.append(item);
  }
  box.append(list);
}

function ask(pending) {
  if (!pending) return;
  const box = make("div", null, { class: "ask", role: "group", "aria-label": "Confirmation" });
  box.append(make("p", pending.action));
  const yes = make("button", "Confirm", { type: "button", id: "confirm" });
  const no = make("button", "Decline", { type: "button", id: "decline", class: "plain" });
  yes.addEventListener("click", () => turn("Yes, please do that.", { token: pending.token, accept: true }));
  no.addEventListener("click", () => turn("No, please do not.", { token: pending.token, accept: false }));
  box.append(yes, " ", no);
  at("log").append(box);
  yes.focus();
}

function hood(seen) {
  const { meta, done } = seen;
  if (meta) at("route").textContent = `Route: ${meta.route} for ${meta.intent} (${meta.complexity}), found by ${meta.router_stage} in ${ms(meta.route_s)}; reason: ${meta.route_reason}. Fetched beforehand: ${meta.prefetch.join(", ") || "nothing"} (${ms(meta.prefetch_s)}). Guard: ${meta.guard_action}.`;
  at("calls").replaceChildren(...seen.usage.map((row) => {
    const line = make("tr");
    const cells = [row.model, row.purpose, row.input_tokens, row.cache_read_tokens, row.cache_write_tokens_5m, row.cache_write_tokens_1h, row.output_tokens, ms(row.ttft_s), ms(row.e2e_s), row.cost_usd === null ? "by chips" : `${Number(row.cost_usd).toFixed(6)} USD`];
    line.append(...cells.map((value) => make("td", value)));
    return line;
  }));
  at("tools").replaceChildren(...seen.tool.map((row) => {
    const line = make("tr");
    line.append(...[row.round, row.tool, JSON.stringify(row.arguments), row.status, ms(row.start_s), ms(row.duration_s)].map((value) => make("td", value)));
    return line;
  }));
  if (done) at("total").textContent = `${done.output_tokens} output tokens, ${done.cost_usd === null ? "priced by chips" : `${Number(done.cost_usd).toFixed(6)} USD`}, ${ms(done.e2e_s)} in all, stopped by ${done.stop_reason}.`;
  timeline(seen);
}

function timeline({ usage, tool, done }) {
  const end = Math.max(done ? done.e2e_s : 0, ...usage.map((row) => row.start_s + row.e2e_s), 0.001);
  const rows = [
    ...usage.map((row) => ({ name: `${row.model} (${row.purpose})`, start: row.start_s, wait: row.ttft_s || 0, length: row.e2e_s || 0, kind: "bar-call" })),
    ...tool.map((row) => ({ name: row.tool, start: row.start_s, wait: 0, length: row.duration_s, kind: "bar-tool" })),
  ].sort((a, b) => a.start - b.start);
  const height = rows.length * 22 + 20;
  const picture = draw("svg", { viewBox: `0 0 640 ${height}`, role: "img", "aria-label": `Timeline of ${rows.length} steps over ${ms(end)}; the tables below say the same` });
  rows.forEach((row, number) => {
    const y = number * 22 + 4;
    const x = 200 + (row.start / end) * 430;
    picture.append(draw("text", { x: 0, y: y + 11 }, row.name.slice(0, 34)));
    if (row.wait) picture.append(draw("rect", { x, y, width: Math.max(1, (row.wait / end) * 430), height: 14, class: "bar-wait" }));
    picture.append(draw("rect", { x: x + (row.wait / end) * 430, y, width: Math.max(2, ((row.length - row.wait) / end) * 430), height: 14, class: row.kind }));
  });
  picture.append(draw("text", { x: 200, y: height - 4 }, "0 ms"), draw("text", { x: 580, y: height - 4 }, ms(end)));
  at("timeline").replaceChildren(picture);
}

async function account() {
  const mine = await (await call("/shop/account")).json();
  fill("cart", mine.cart.map((row) => make("li", `${row.quantity} x ${row.title}`)));
  fill("rules", mine.rules.map((row) => make("li", `${row.kind === "alert" ? "Alert" : `Buy ${row.quantity} x`} ${row.title} at ${money(row.target_price)} or less: ${row.state}, until ${row.until}`)));
  fill("bought", mine.purchases.map((row) => make("li", `${row.quantity} x ${row.title} at ${money(row.price)} (saved ${Math.round(row.saving_ratio * 100)}%)`)));
  fill("orders", mine.orders.map((row) => make("li", `${row.order_id}, ${row.ordered_at.slice(0, 10)}, ${row.status}: ${row.items.map((item) => `${item.quantity} x ${item.title}`).join(", ")} (${money(row.total)})`)));
  fill("facts", mine.facts.map((fact) => make("li", fact)));
}

async function watch() {
  if (state.watch) state.watch.abort();
  const watching = (state.watch = new AbortController());
  try {
    const answer = await fetch("/shop/events", { headers: { Authorization: `Bearer ${state.token}` }, signal: watching.signal });
    for await (const [name] of events(answer)) {
      if (name !== "changed") continue;
      await account();
      if (state.product) await open(state.product);
    }
  } catch { /* aborted, or the server is gone: the next action says so */ }
}

async function open(id) {
  const row = await (await call(`/shop/products/${encodeURIComponent(id)}`)).json();
  state.product = row.product_id;
  at("product-title").textContent = row.title;
  at("card").hidden = false;
  at("found").replaceChildren();
  const moved = row.price_now !== row.price;
  at("price").textContent = `${money(row.price_now, row.currency)}${moved ? ` (moved; the catalogue says ${money(row.price, row.currency)})` : ""}, rated ${row.rating} of 5 by ${row.review_count}`;
  at("stock").textContent = row.in_stock ? `In stock, delivery in ${row.delivery_days} days` : "Sold out";
  at("attributes").replaceChildren(...Object.entries(row.attributes).flatMap(([key, value]) => [make("dt", key), make("dd", value)]));
  at("days").replaceChildren(...row.history.map((day) => { const line = make("tr"); line.append(make("td", day.day), make("td", money(day.price, row.currency))); return line; }));
  picture(row);
  chart(row);
}

function picture(row) {
  // A shape of its own for every product, from its id alone.
  const seed = [...row.product_id].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 9973, 7);
  const corners = 5 + (seed % 5);
  const points = Array.from({ length: corners }, (_, i) => {
    const angle = (i / corners) * 2 * Math.PI;
    const radius = 55 + ((seed * (i + 3)) % 25);
    return `${160 + radius * 1.6 * Math.cos(angle)},${80 + radius * 0.8 * Math.sin(angle)}`;
  });
  const image = draw("svg", { viewBox: "0 0 320 160", role: "img", "aria-label": `Drawing of ${row.title}` });
  image.append(draw("polygon", { points: points.join(" "), class: "shape" }), draw("text", { x: 160, y: 96, "text-anchor": "middle", class: "initial" }, row.category.slice(0, 1).toUpperCase()));
  at("picture").replaceChildren(image);
}

function chart(row) {
  const prices = row.history.map((day) => day.price);
  if (!prices.length) { at("chart").replaceChildren(); return; }
  const low = Math.min(...prices), high = Math.max(...prices), range = high - low || 1;
  const x = (i) => 40 + (i / Math.max(1, prices.length - 1)) * 260;
  const y = (price) => 90 - ((price - low) / range) * 75;
  const lowest = prices.indexOf(low);
  const label = `From ${row.history[0].day} to ${row.history[prices.length - 1].day}: lowest ${money(low)} on ${row.history[lowest].day}, highest ${money(high)}`;
  at("chart-title").textContent = `Price of the last 30 days. ${label}`;
  const image = draw("svg", { viewBox: "0 0 320 110", role: "img", "aria-label": label });
  image.append(
    draw("polyline", { points: prices.map((price, i) => `${x(i)},${y(price)}`).join(" "), class: "line" }),
    draw("circle", { cx: x(lowest), cy: y(low), r: 4, class: "low" }),
    draw("text", { x: 0, y: y(high) + 4 }, high.toFixed(0)), draw("text", { x: 0, y: y(low) + 4 }, low.toFixed(0)),
  );
  at("chart").replaceChildren(image);
}

function asPicture(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onerror = () => reject(reader.error);
    reader.onload = () => resolve({ format: file.type.split("/")[1], data: reader.result.split(",")[1] });
    reader.readAsDataURL(file);
  });
}

at("customer-form").addEventListener("submit", (event) => { event.preventDefault(); start(); });
at("say-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const message = at("message").value.trim();
  if (!message || state.busy) return;
  const file = at("photo").files[0];
  const photo = file ? await asPicture(file) : null;
  at("message").value = "";
  at("photo").value = "";
  await turn(message, null, photo);
  if (!at("confirm")) at("message").focus();
});
at("message").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); at("say-form").requestSubmit(); }
});
at("find-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const words = at("find").value.trim();
  if (/^p\d+$/.test(words)) { await open(words).catch((error) => say(error.message)); return; }
  const { products } = await (await call(`/shop/search?q=${encodeURIComponent(words)}`)).json();
  fill("found", products.map((row) => {
    const item = make("li");
    const button = make("button", `${row.title}, ${money(row.price)}`, { type: "button", class: "plain" });
    button.addEventListener("click", () => open(row.product_id));
    item.append(button);
    return item;
  }));
});
at("tick-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const price = Number(at("tick").value);
  let matched;
  try {
    ({ matched } = await (await call("/test/price_ticks", { ticks: [{ product_id: state.product, price }] })).json());
  } catch (error) {
    say(`${error.message} Open the address that it prints, with what stands behind the #.`);
    return;
  }
  say(`The price moved to ${money(price)}; ${matched} rule(s) met.`);
  await open(state.product);
  await account();
});
at("leave").addEventListener("click", () => { state.product = null; at("card").hidden = true; at("product-title").textContent = "No product page is open"; });
addEventListener("resize", toEnd);
start();
