// The socket: the stock client, with the three habits every app should have.
// A message keeps its tempId until it is acked and is sent again after a
// reconnect; what came is confirmed with message:delivered; after a gap each
// chat is read on from its last seq.

import { io } from "../vendor/socket.io.esm.min.js";
import { randomId } from "./storage.js";

const ackTimeout = 16_000; // the server answers a send within 15 s
const confirmAfter = 300; // one message:delivered confirms everything before it
const page = 50;

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
    this.toConfirm = new Map(); // chat → seq
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
    socket.on("connected", (hello) => {
      this.ready = true;
      this.state("online", hello.missed ? `catching up on ${hello.missed}` : "");
      if (hello.missed) setTimeout(() => this.ready && this.state("online"), 3_000);
      this.catchUp();
    });
    socket.on("disconnect", (reason) => {
      this.ready = false;
      this.state(socket.active ? "connecting" : "closed", reason);
    });
    socket.on("connect_error", (error) => {
      this.ready = false;
      this.state(socket.active ? "connecting" : "closed", error.data?.code ?? error.message);
    });
    socket.on("message:new", (entry) => {
      chats.add(entry);
      this.delivered(entry.message.chatId, entry.message.seq);
    });
    socket.on("chat:updated", (u) => {
      if (u.changes?.name !== undefined) chats.get(u.chatId).name = u.changes.name;
      for (const m of u.changes?.added ?? []) chats.note(u.chatId, u.timestamp, `${m.userId} was added`);
      for (const id of u.changes?.removed ?? []) chats.note(u.chatId, u.timestamp, `${id} was removed`);
      chats.changed(chats.get(u.chatId));
    });
    socket.on("chat:member-joined", (e) => e.kind === "membership" && chats.note(e.chatId, e.timestamp, `${e.userId} joined`));
    socket.on("chat:member-left", (e) => {
      if (e.kind !== "membership") return;
      chats.note(e.chatId, e.timestamp, e.userId === this.who.user ? "You are no longer a member" : `${e.userId} left`);
    });
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

  /** Emits an event and gives its ack; a failure ack is thrown with its code. */
  async request(event, data, timeout = ackTimeout) {
    const ack = await this.socket.timeout(timeout).emitWithAck(event, data);
    if (!ack.success) throw Object.assign(new Error(ack.message), { code: ack.code, retryable: ack.retryable, retryAfterMs: ack.retryAfterMs });
    return ack;
  }

  /** After each connect: what is pending goes out, what was missed comes in. */
  async catchUp() {
    for (const chat of this.chats.byId.values()) for (const item of chat.outbox) if (!item.sending) this.transmit(chat, item);
    const open = this.chats.byId.get(this.open);
    const rest = [...this.chats.byId.values()].filter((chat) => chat !== open);
    if (open) await this.enter(open);
    for (const chat of rest) {
      if (!this.ready) return;
      await this.load(chat).catch(() => {}); // not a member of it any more: shown when it is opened
    }
  }

  /** Opens a chat on this socket and brings it up to date. */
  async enter(chat) {
    this.open = chat.id;
    if (!this.ready) return;
    try {
      const joined = await this.request("chat:join", { chatId: chat.id });
      chat.lastSeq = Math.max(chat.lastSeq, joined.lastSeq);
      await this.load(chat);
    } catch (error) {
      if (this.ready) this.problem(`${chat.id}: ${error.message}`);
    }
  }

  /** The newest page, or everything after what is here. */
  async load(chat) {
    const newest = Math.max(0, ...chat.messages.keys());
    if (!chat.loaded) {
      const answer = await this.request("message:history", { chatId: chat.id, limit: page });
      chat.loaded = true;
      chat.more = answer.hasMore;
      this.took(chat, answer);
      return;
    }
    for (let after = newest, more = true; more && this.ready; ) {
      const answer = await this.request("message:history", { chatId: chat.id, afterSeq: after, limit: 100 });
      this.took(chat, answer);
      more = answer.hasMore && answer.messages.length > 0;
      after = answer.messages.at(-1)?.message.seq ?? after;
    }
  }

  async older(chat) {
    const answer = await this.request("message:history", { chatId: chat.id, beforeSeq: chat.oldest(), limit: page });
    chat.more = answer.hasMore;
    this.took(chat, answer);
  }

  took(chat, answer) {
    chat.lastSeq = Math.max(chat.lastSeq, answer.lastSeq);
    this.chats.addAll(chat, answer.messages);
  }

  /** Puts a message in the chat's outbox and sends it until the server has it. */
  send(chat, text) {
    const item = { tempId: randomId(), text, at: new Date(), fault: "", sending: false };
    chat.outbox.push(item);
    this.chats.changed(chat, true);
    if (this.ready) this.transmit(chat, item);
  }

  async transmit(chat, item) {
    item.sending = true;
    item.fault = "";
    this.chats.changed(chat);
    try {
      const ack = await this.request("message:new", { chatId: chat.id, encryptedContent: item.text, messageType: "text", tempId: item.tempId });
      chat.outbox = chat.outbox.filter((other) => other !== item);
      this.chats.add({ message: ack.message, sender: ack.sender });
      this.chats.changed(chat);
      // Where everything before it is here too, one's own message needs no second delivery.
      const { seq } = ack.message;
      if (seq === 1 || chat.messages.has(seq - 1)) this.delivered(chat.id, seq);
      return;
    } catch (error) {
      item.sending = false;
      const lost = !error.code; // no answer: the outcome is unknown, the same tempId is safe
      if (lost || error.retryable) {
        if (error.code) setTimeout(() => this.ready && !item.sending && chat.outbox.includes(item) && this.transmit(chat, item), error.retryAfterMs ?? 2_000);
        else if (this.ready) this.transmit(chat, item);
        item.note = error.code === "RATE_LIMIT_EXCEEDED" ? "waiting: too many messages" : "";
      } else {
        item.fault = error.message;
      }
    }
    this.chats.changed(chat);
  }

  delivered(chatId, seq) {
    if (this.toConfirm.size === 0) setTimeout(() => this.confirm(), confirmAfter);
    this.toConfirm.set(chatId, Math.max(this.toConfirm.get(chatId) ?? 0, seq));
  }

  confirm() {
    const all = [...this.toConfirm];
    this.toConfirm.clear();
    if (!this.ready) return; // it comes again with the next connection
    for (const [chatId, upToSeq] of all) this.request("message:delivered", { chatId, upToSeq }).catch(() => {});
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
