/**
 * The page `plain.html#token=…`: prices over the plain WebSocket, without a library.
 *
 * To copy: connect, subscribe, and after every loss connect again, later.
 */
import { retryDelay_ms } from "./backoff.js";
import { takeToken } from "./token.js";

const SYMBOLS = ["BTCUSDT", "ETHUSDT"];
/** The token has expired, or was revoked: it would not get better. */
const FINAL_CODES = [4004, 4005];
const PING_INTERVAL_MS = 20_000;

const prices = {};
let attempt = 0;

function connect(token) {
  const ws = new WebSocket(`${location.origin.replace("http", "ws")}/ws/trade?token=${token}`);
  let heard = true;
  // A browser does not say that a line is dead: an answer that does not come does.
  const beat = setInterval(() => {
    if (!heard) ws.close();
    heard = false;
    if (ws.readyState === WebSocket.OPEN) ws.send(JSON.stringify({ type: "ping" }));
  }, PING_INTERVAL_MS);

  ws.onopen = () => ws.send(JSON.stringify({ type: "subscribe", symbols: SYMBOLS }));
  ws.onmessage = (event) => {
    const message = JSON.parse(event.data);
    heard = true;
    if (message.type === undefined) {
      attempt = 0;
      show("Live");
      prices[message.symbol] = message.price;
      document.getElementById("prices").textContent = JSON.stringify(prices, null, 1);
    } else if (message.type === "error" || message.type === "closing") {
      console.warn(message.code, message.message);
    }
  };
  ws.onclose = ({ code }) => {
    clearInterval(beat);
    if (FINAL_CODES.includes(code)) {
      show(`Closed: ${code}`);
      return;
    }
    // What a gateway answers before a connection is open, such as 401, a browser keeps to itself (1006).
    show("Disconnected");
    setTimeout(() => connect(token), retryDelay_ms(attempt));
    attempt += 1;
  };
}

function show(text) {
  document.getElementById("connection").textContent = text;
}

const token = takeToken(location, history, sessionStorage);
if (token !== null) connect(token);
