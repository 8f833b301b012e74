/**
 * Print the ticks of some symbols, one JSON object a line, over the plain WebSocket; everything else goes to stderr.
 *
 * Needs nothing of Crosstick's, but `npm install ws@8.23.0`:
 *
 *     CROSSTICK_TOKEN=$(crosstick token --sub me --role viewer) node clients/node/plain.mjs BTCUSDT ETHUSDT
 *
 * CROSSTICK_URL is the gateway, by default ws://127.0.0.1:8080/ws. The exit code is 2 when the gateway refuses the token.
 */
import WebSocket from "ws";

const MAX_PAUSE_MS = 5_000;
/** The gateway pings every 20 s; a line on which nothing comes for longer is dead. */
const SILENCE_MS = 45_000;
/** The token has expired, or was revoked: it would not get better. */
const FINAL_CODES = [4004, 4005];

const url = `${process.env.CROSSTICK_URL ?? "ws://127.0.0.1:8080/ws"}/trade`;
const headers = { Authorization: `Bearer ${process.env.CROSSTICK_TOKEN}` };
const symbols = process.argv.slice(2);

function fail(reason) {
  process.stderr.write(`refused: ${reason}\n`);
  process.exit(2);
}

function connect() {
  const socket = new WebSocket(url, { headers });
  const silence = setTimeout(() => socket.terminate(), SILENCE_MS);
  socket.on("ping", () => silence.refresh());
  socket.on("open", () => socket.send(JSON.stringify({ type: "subscribe", symbols })));
  socket.on("message", (data) => {
    // The text has the exchange's digits; JSON.parse makes doubles of them.
    const text = data.toString();
    ("type" in JSON.parse(text) ? process.stderr : process.stdout).write(`${text}\n`);
  });
  socket.on("unexpected-response", (_request, { statusCode }) => {
    if (statusCode === 401) fail("the gateway does not accept the token");
    socket.terminate();
  });
  socket.on("error", ({ message }) => process.stderr.write(`${message}\n`));
  socket.on("close", (code) => {
    clearTimeout(silence);
    if (FINAL_CODES.includes(code)) fail(`closed with ${code}`);
    process.stderr.write(`lost: ${code}\n`);
    // Not all clients of a gateway that is started anew are to come back in the same moment.
    setTimeout(connect, Math.random() * MAX_PAUSE_MS);
  });
}

connect();
