/** Print every event of the market that autobahn-js receives, one `[topic, argument]` a line; `subscribed` comes first. */
import { createRequire } from "node:module";

const [, , packageFile] = process.argv;
const require = createRequire(packageFile);
const autobahn = require("autobahn");
globalThis.WebSocket ??= require("ws").WebSocket;

const token = process.env.CROSSTICK_TOKEN;
const connection = new autobahn.Connection({
  url: process.env.CROSSTICK_URL,
  realm: "market",
  authmethods: ["ticket"],
  authid: "js",
  onchallenge: () => token,
});
connection.onopen = async (session) => {
  const print = ([argument], _, details) => console.log(JSON.stringify([details.topic, argument]));
  await session.subscribe("market.", print, { match: "prefix" });
  console.log("subscribed");
};
connection.open();
