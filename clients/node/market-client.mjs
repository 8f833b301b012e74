/**
 * Crosstick for node.js: the modules of clients/browser with node's autobahn-js.
 *
 *     import { MarketWatch } from "./market-client.mjs";
 *
 *     const watch = new MarketWatch({
 *       url: "ws://127.0.0.1:8080/ws",
 *       token,
 *       symbols: ["BTCUSDT"],
 *       onTick: (tick, missed) => …,
 *       onGap: ({ symbol, epoch, from_seq, to_seq, because }) => …,
 *       onState: ({ state, reason, retryAt_ms }) => …,
 *     });
 *     watch.open();
 *
 * Prices are JavaScript numbers: equal to the exchange's up to 15 significant digits, without its trailing zeros.
 */
import autobahn from "autobahn";
import { MarketWatch as BaseMarketWatch } from "../browser/market-watch.js";

export { AccessRefused, ConnectionState, describeError } from "../browser/market-connection.js";

if (globalThis.WebSocket === undefined) {
  // Node has a WebSocket of its own since version 22; autobahn-js counts on it.
  const { WebSocket } = await import("ws");
  globalThis.WebSocket = class extends WebSocket {
    constructor(...parameters) {
      super(...parameters);
      // As in browsers, a failed connection is told by the close event; an unheard error event would end the process.
      this.on("error", () => {});
    }
  };
}

// autobahn-js prints each closed connection with all its details; `onState` says the same in a line.
autobahn.log.warn = () => {};

export class MarketWatch extends BaseMarketWatch {
  constructor(options) {
    super({ autobahn, ...options });
  }
}
