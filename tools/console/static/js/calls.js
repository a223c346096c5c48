// The calls of this page: at most one at a time, and the history.

import { Call } from "./call.js";
import { randomId } from "./storage.js";
import { endWords } from "./words.js";

const page = 30; // calls of the history that are shown

/** Events: "change" of the call or the history. */
export class Calls extends EventTarget {
  constructor(connection) {
    super();
    this.connection = connection;
    this.now = null; // the call that rings or goes on here
    this.last = ""; // how the last one ended, in words
    this.history = [];
    this.relay = new URLSearchParams(location.search).get("relay") === "1"; // media by TURN servers alone
    addEventListener("pagehide", () => this.now?.known && connection.socket.emit("call:end", { callId: this.now.callId }));
  }

  listen(socket) {
    const of = (act) => (e) => {
      const ours = e.callId === this.now?.callId && (e.fromUserId ?? this.now.userId) === this.now.userId;
      if (ours) Promise.resolve(act(this.now, e)).catch((error) => this.connection.problem(error.message));
    };
    socket.on("call:incoming", (e) => this.incoming(e));
    socket.on("call:answer", of((call, e) => call.answered(e)));
    socket.on("call:reject", of((call) => this.over(call, endWords("rejected", call.name))));
    // What is said to devices that ring is not for one that has taken the call.
    socket.on("call:end", of((call, e) => (call.state === "incoming" || !/_elsewhere$/.test(e.reason)) && this.over(call, endWords(e.reason, call.name, call.outgoing))));
    socket.on("call:end", () => this.load());
    socket.on("call:ice-candidate", of((call, e) => call.candidate(e.candidate)));
    socket.on("call:renegotiate", of((call, e) => call.renegotiated(e)));
    socket.on("notification:new", (e) => e.type === "call_missed" && this.load());
  }

  changed() {
    this.dispatchEvent(new CustomEvent("change"));
  }

  begin(call) {
    this.now = call;
    this.last = "";
    call.addEventListener("change", () => (call.state === "over" && this.now === call ? this.over(call, "The call is over.") : this.changed()));
    this.changed();
    return call;
  }

  /** Calls a user; chatId, if there is one, is a chat of both. */
  async call(userId, callType, chatId) {
    if (this.now) return;
    const name = this.connection.chats.nameOf(userId);
    const call = this.begin(new Call(this.connection, { callId: randomId(), userId, name, callType, outgoing: true, relay: this.relay }));
    try {
      await call.ring(chatId);
    } catch (error) {
      // What the server may have got is taken back; of a call it does not know it says so.
      if (!error.code && call.pc) this.tell("call:end", { callId: call.callId });
      if (this.now === call) this.over(call, error.message);
    }
  }

  /** call:incoming: rings until its time is over, by the shorter of what the server's clock and its count say. */
  incoming(e) {
    const { connection } = this;
    if (this.now?.callId === e.callId) return;
    const left = Math.min(e.ringMs, Date.parse(e.expiresAt) - Date.now() - connection.ahead);
    if (left <= 0) return;
    if (this.now) {
      this.tell("call:reject", { callId: e.callId, reason: "busy" });
      return;
    }
    connection.chats.names.set(e.callerId, e.callerName || e.callerId);
    const call = new Call(connection, { callId: e.callId, userId: e.callerId, name: e.callerName || e.callerId, callType: e.callType, outgoing: false, relay: this.relay });
    Object.assign(call, { offer: e.offer, iceServers: e.iceServers, early: [...(e.candidates ?? [])] });
    this.begin(call);
    setTimeout(() => call.state === "incoming" && this.over(call, endWords("no_answer", call.name)), left);
  }

  async accept() {
    const call = this.now;
    if (call?.state !== "incoming") return;
    try {
      await call.accept();
    } catch (error) {
      if (!error.code && call.pc) this.tell("call:end", { callId: call.callId, reason: "failed" });
      if (this.now === call) this.over(call, error.message);
    }
  }

  /** Declines what rings here, hangs up what goes on. */
  leave() {
    const call = this.now;
    if (!call) return;
    const declined = call.state === "incoming";
    if (declined || call.known || call.pc) this.tell(declined ? "call:reject" : "call:end", { callId: call.callId });
    this.over(call, declined ? "Declined" : "The call is over.");
  }

  over(call, words) {
    if (this.now === call) {
      this.now = null;
      this.last = words;
    }
    call.end();
    this.changed();
    this.load();
  }

  /** Tells the server, later if there is no connection now. That a call is over already is fine. */
  async tell(event, data) {
    if (!this.connection.ready) {
      this.connection.afterConnect.push(() => this.tell(event, data));
      return;
    }
    try {
      await this.connection.request(event, data);
    } catch (error) {
      if (!/^CALL_/.test(error.code)) this.connection.problem(error.message);
    }
  }

  /** There is a connection again. */
  settle() {
    this.now?.resume();
    this.load();
  }

  async load() {
    if (!this.connection.ready || this.loading) {
      this.again = Boolean(this.loading);
      return;
    }
    this.loading = true;
    try {
      this.history = (await this.connection.request("call:history", { limit: page })).calls;
      this.changed();
    } catch {
      // Shown as it was; the next call, or connection, asks again.
    } finally {
      this.loading = false;
    }
    if (this.again) {
      this.again = false;
      this.load();
    }
  }
}
