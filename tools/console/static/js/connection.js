// The socket: the stock client, and what the server's events change. The habits
// every app should have stand beside it: outbox.js, receipts.js, catchup.js.

import { io } from "../vendor/socket.io.esm.min.js";
import { Calls } from "./calls.js";
import { catchUp, meet } from "./catchup.js";
import { Notifications } from "./notifications.js";
import { sendAgain } from "./outbox.js";
import { Presences } from "./presence.js";
import { Pushing } from "./pushing.js";
import { Receipts } from "./receipts.js";
import { Typist } from "./typist.js";
import { refusalWords } from "./words.js";

const ackTimeout = 16_000; // the server answers a send within 15 s

async function makeToken(who) {
  const answer = await fetch("token", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ userId: who.user, deviceId: who.device, name: who.name }),
  });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `no token: ${answer.status}`);
  return (await answer.json()).token;
}

/** Connection of one user. Events: "state" {state, detail}, "problem" {text}. */
export class Connection extends EventTarget {
  constructor(gateway, who, chats) {
    super();
    this.who = who;
    this.chats = chats;
    this.ready = false; // between `connected` and the next disconnect
    this.open = ""; // chat on screen
    this.ahead = 0; // ms by which the server's clock is ahead of this one
    this.afterConnect = []; // to be done when there is a connection again
    this.receipts = new Receipts(this);
    this.typist = new Typist(this);
    this.presences = new Presences(this);
    this.calls = new Calls(this);
    this.notifications = new Notifications(this);
    this.pushing = new Pushing(this);
    this.socket = io(gateway, {
      auth: (give) => {
        makeToken(who).then(
          (token) => give({ token, deviceId: who.device }),
          (error) => this.problem(error.message),
        );
      },
    });
    this.listen();
    this.state("connecting");
  }

  state(state, detail = "") {
    this.dispatchEvent(new CustomEvent("state", { detail: { state, detail } }));
  }

  problem(text) {
    this.dispatchEvent(new CustomEvent("problem", { detail: { text } }));
  }

  listen() {
    const { socket, chats } = this;
    socket.on("connected", (hello) => this.connected(hello));
    socket.on("disconnect", (reason) => {
      this.presences.lost();
      this.lost(reason);
      chats.lostSight();
    });
    socket.on("connect_error", (error) => this.lost(error.data?.code ?? error.message));
    socket.on("message:new", (entry) => {
      chats.add(entry);
      const chat = chats.get(entry.message.chatId);
      if (chat.loaded) this.receipts.delivered(chat.id, entry.message.seq);
      else if (this.ready && chat.id !== this.open) meet(this, chat);
    });
    socket.on("message:edited", (e) => chats.amend(e));
    socket.on("message:deleted", (e) => chats.amend(e));
    socket.on("message:delivered", (e) => this.reached(e, e.seq, 0));
    socket.on("message:read", (e) => {
      if (e.userId === this.who.user) chats.read(chats.get(e.chatId), e.seq);
      else this.reached(e, e.seq, e.seq);
    });
    socket.on("message:typing", (e) => chats.typing(e));
    socket.on("message:stop-typing", (e) => chats.stoppedTyping(e));
    socket.on("reaction:new", (e) => chats.reacted(e));
    socket.on("reaction:remove", (e) => chats.reacted(e));
    this.calls.listen(socket);
    this.notifications.listen(socket);
    socket.on("presence:update", (e) => this.presences.update(e));
    socket.on("chat:updated", (u) => this.updated(u));
    socket.on("chat:member-joined", (e) => this.joined(e));
    socket.on("chat:member-left", (e) => this.left(e));
    socket.on("auth:expiring", async () => {
      try {
        await this.request("auth:refresh", { token: await makeToken(this.who) });
      } catch (error) {
        this.problem(error.message);
      }
    });
    socket.on("server:drain", () => this.state("online", "the gateway restarts soon"));
    socket.on("error", (e) => this.problem(`${e.event ? `${e.event}: ` : ""}${e.message}`));
  }

  connected(hello) {
    this.ready = true;
    this.ahead = Date.parse(hello.serverTime) - Date.now();
    this.state("online", hello.missed ? `catching up on ${hello.missed}` : "");
    if (hello.missed) setTimeout(() => this.ready && this.state("online"), 3_000);
    sendAgain(this);
    this.presences.settle();
    this.calls.settle();
    this.notifications.load();
    this.pushing.settle();
    for (const again of this.afterConnect.splice(0)) again();
    catchUp(this, hello).catch((error) => this.ready && this.problem(error.message));
  }

  lost(reason) {
    this.ready = false;
    this.typist.sent(); // the server ends it
    this.state(this.socket.active ? "connecting" : "closed", reason);
  }

  /** Another member has messages of the user, or has read them. */
  reached(e, delivered, read) {
    const chat = this.chats.get(e.chatId);
    chat.advance(e.userId, delivered, read);
    this.chats.changed(chat);
  }

  updated(u) {
    const { chats } = this;
    const chat = chats.get(u.chatId);
    if (u.changes?.name !== undefined && u.changes.name !== chat.name) {
      chat.name = u.changes.name;
      chats.note(u.chatId, u.timestamp, `The chat is called ${chat.title()} now`);
    }
    for (const m of u.changes?.added ?? []) {
      chat.member(m.userId, m.userId !== this.who.user);
      chats.note(u.chatId, u.timestamp, `${chats.nameOf(m.userId)} was added`);
    }
    for (const id of u.changes?.removed ?? []) {
      chat.member(id, false);
      chats.note(u.chatId, u.timestamp, `${chats.nameOf(id)} was removed`);
    }
    chats.changed(chat);
  }

  joined(e) {
    const { chats } = this;
    const chat = chats.get(e.chatId);
    if (e.kind === "membership") {
      chat.member(e.userId, e.userId !== this.who.user);
      chats.note(e.chatId, e.timestamp, `${chats.nameOf(e.userId)} joined`);
      return;
    }
    chat.active?.add(e.userId);
    chats.changed(chat);
  }

  left(e) {
    const { chats } = this;
    const chat = chats.get(e.chatId);
    chat.active?.delete(e.userId);
    if (e.kind === "membership") {
      chat.member(e.userId, false);
      chats.note(e.chatId, e.timestamp, e.userId === this.who.user ? "You are no longer a member" : `${chats.nameOf(e.userId)} left`);
    }
    chats.changed(chat);
  }

  /** Emits an event and gives its ack; a failure ack is thrown with its code, and without one if none came. */
  async request(event, data, timeout = ackTimeout) {
    if (!this.ready) throw new Error("There is no connection now. Try again when it is back.");
    let ack;
    try {
      ack = await this.socket.timeout(timeout).emitWithAck(event, data);
    } catch {
      throw new Error("The server did not answer in time.");
    }
    if (!ack.success) throw Object.assign(new Error(refusalWords(ack)), { code: ack.code, retryable: ack.retryable, retryAfterMs: ack.retryAfterMs });
    return ack;
  }

  /** Gives one's own message new text. The server's event shows it, here too. */
  edit(message, text) {
    return this.request("message:edit", { chatId: message.chatId, messageId: message.id, encryptedContent: text });
  }

  delete(message, forEveryone) {
    return this.request("message:delete", { chatId: message.chatId, messageId: message.id, forEveryone });
  }

  /** Sets how the user is there; others are told by the server, this page by the ack. */
  async setStatus(update) {
    const { effectiveStatus, customStatus } = await this.request("presence:update", update);
    const { of } = this.presences;
    of.set(this.who.user, { ...of.get(this.who.user), userId: this.who.user, status: effectiveStatus, customStatus });
    this.chats.changed(null);
  }

  /** Tries again after a close that does not by itself. */
  reconnect() {
    this.state("connecting");
    this.socket.connect();
  }

  close() {
    this.ready = false;
    this.socket.disconnect();
  }
}
