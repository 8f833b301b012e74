/** An autobahn-js without a line, which tests drive from the gateway's side. */

/** The connections made since the last `forget()`, in the order of their making. */
export const made = [];

export const forget = () => {
  made.splice(0);
  refusedTopics.splice(0);
};

/** Let promises that are due run their course. */
export const settled = async () => {
  for (let turn = 0; turn < 40; turn += 1) {
    await Promise.resolve();
  }
};

/** The topics to which the next sessions may not subscribe. */
export const refusedTopics = [];

class FakeSession {
  calls = [];
  refused = new Set(refusedTopics);
  handlers = new Map();

  call(procedure, args = []) {
    return new Promise((resolve, reject) => this.calls.push({ procedure, args, resolve, reject }));
  }

  async subscribe(topic, handler, options = {}) {
    if (this.refused.has(topic)) {
      throw { error: "wamp.error.not_authorized", args: ["no right"] };
    }
    this.handlers.set(topic, handler);
    return { topic, options };
  }

  async unsubscribe({ topic }) {
    this.handlers.delete(topic);
  }

  /** Answer the oldest open call of a procedure. */
  answer(procedure, value) {
    const [{ resolve }] = this.calls.splice(this.calls.findIndex((call) => call.procedure === procedure), 1);
    resolve(value);
    return settled();
  }

  publish(topic, event) {
    this.handlers.get(topic)([event]);
    return settled();
  }
}

/** As autobahn-js's: `close()` only asks; the session stays open, and events come, until the gateway has answered. */
class FakeConnection {
  isConnected = false;
  closeAsked = false;
  session = new FakeSession();

  constructor(options) {
    this.options = options;
    made.push(this);
  }

  open() {
    this.isConnected = true;
  }

  close() {
    if (!this.isConnected) {
      throw "connection already closed";
    }
    this.closeAsked = true;
  }

  join() {
    this.onopen(this.session);
    return settled();
  }

  /** End the line: answers `close()`, or cuts. */
  drop(kind, details = { reason: null, message: null }) {
    this.isConnected = false;
    this.onclose(kind, details);
  }
}

export const autobahn = { Connection: FakeConnection, serializer: { JSONSerializer: class {} } };

/** Return a token of alice's with further claims. */
export const tokenWith = (claims) => `x.${Buffer.from(JSON.stringify({ sub: "alice", ...claims })).toString("base64url")}.y`;

export const TOKEN = tokenWith({});
