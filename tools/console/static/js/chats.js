// The chats of one user and their messages, ordered by seq. No page, no socket.

import { Reactions } from "./reactions.js";

/** One chat, as far as it is known here. */
export class Chat {
  constructor(id, name = "") {
    this.id = id;
    this.name = name;
    this.role = "member"; // of the user, from chat:join
    this.lastSeq = 0; // of the chat
    this.readSeq = 0; // of the user, on whatever device
    this.known = false; // the server has said where the user stands
    this.haveSeq = 0; // from the oldest message here up to this one nothing is missing
    this.messages = new Map(); // seq → message as it is now, with its sender
    this.seqs = new Map(); // message id → seq
    this.reactions = new Reactions();
    this.amended = new Map(); // seq → the newest message:edited or message:deleted
    this.receipts = null; // other member → {delivered, read}; null in a large chat
    this.reached = { delivered: 0, read: 0 }; // by the furthest of them
    this.typing = new Map(); // user and thread → user, until the server says otherwise
    this.active = null; // users who have it open, of the open chat
    this.draft = { text: "", ttlSec: 0, replyTo: "", editing: 0 }; // in the composer; replyTo is an id, editing a seq
    this.outbox = []; // what this tab has sent and the server has not acked
    this.notes = []; // joins, leaves and changes: {at, text}
    this.loaded = false; // its newest page is here
    this.more = false; // there are older messages than the oldest here
  }

  title() {
    return this.name || this.id;
  }

  ordered() {
    return [...this.messages.values()].sort((a, b) => a.message.seq - b.message.seq);
  }

  oldest() {
    let seq = 0;
    for (const s of this.messages.keys()) if (!seq || s < seq) seq = s;
    return seq;
  }

  newest() {
    let seq = 0;
    for (const s of this.messages.keys()) if (s > seq) seq = s;
    return this.messages.get(seq);
  }

  byMessageId(id) {
    return this.messages.get(this.seqs.get(id));
  }

  /** What the user has not read: what one says moves one's cursor, so all behind it is of others. */
  unread() {
    return this.known ? Math.max(0, this.lastSeq - this.readSeq) : 0;
  }

  /** What chat:join and sync:pull say of the user and of the other members. */
  stands({ lastSeq, unreadCount, role, receipts }) {
    this.known = true;
    this.lastSeq = Math.max(this.lastSeq, lastSeq);
    this.readSeq = Math.max(this.readSeq, lastSeq - unreadCount);
    if (role) this.role = role;
    const before = this.receipts;
    this.receipts = receipts ? new Map() : null;
    for (const { userId, deliveredSeq, readSeq } of receipts ?? []) {
      this.receipts.set(userId, before?.get(userId) ?? { delivered: 0, read: 0 });
      this.advance(userId, deliveredSeq, readSeq);
    }
  }

  /** Another member's receipt; cursors only go forward. */
  advance(userId, delivered, read) {
    for (const at of [this.reached, this.receipts?.get(userId)]) {
      if (!at) continue;
      at.read = Math.max(at.read, read);
      at.delivered = Math.max(at.delivered, delivered, read);
    }
  }

  /** Another user became a member, or is none any more. */
  member(userId, is) {
    if (!is) this.receipts?.delete(userId);
    else if (this.receipts && !this.receipts.has(userId)) this.receipts.set(userId, { delivered: 0, read: 0 });
  }

  /** How far one's own message got: its state, and in small chats who has it. */
  receiptOf(seq) {
    const state = this.reached.read >= seq ? "read" : this.reached.delivered >= seq ? "delivered" : "sent";
    const having = (verb) => [...(this.receipts ?? [])].filter(([, at]) => at[verb] >= seq).map(([user]) => user);
    return { state, others: this.receipts?.size, read: having("read"), delivered: having("delivered") };
  }

  /** Takes a message in, with what is known to have happened to it. False: it is hidden. */
  put(entry) {
    const { seq, id } = entry.message;
    const change = this.amended.get(seq);
    if (change?.deletedAt && !change.forEveryone) return false;
    this.messages.set(seq, change ? amend(entry, change) : entry);
    this.seqs.set(id, seq);
    return true;
  }
}

/** The entry after an edit or a deletion for everyone; nothing follows a deletion. */
function amend(entry, change) {
  const { message } = entry;
  if (change.deletedAt) {
    const gone = { ...message, encryptedContent: "", metadata: undefined, deletedAt: change.deletedAt };
    return { ...entry, message: gone, deletion: change };
  }
  if (message.deletedAt || message.editedAt >= change.editedAt) return entry;
  return { ...entry, message: { ...message, encryptedContent: change.encryptedContent, editedAt: change.editedAt } };
}

/** All chats; "change" is dispatched with {chat, added} after each change. */
export class Chats extends EventTarget {
  constructor(me, known) {
    super();
    this.me = me;
    this.names = new Map(); // user → name, as last heard
    this.byId = new Map();
    for (const { id, name } of known) this.byId.set(id, new Chat(id, name));
  }

  changed(chat, added = false) {
    this.dispatchEvent(new CustomEvent("change", { detail: { chat, added } }));
  }

  nameOf(user) {
    return this.names.get(user) || user;
  }

  /** The chat with this id, made if it is new here. */
  get(id) {
    let chat = this.byId.get(id);
    if (!chat) {
      chat = new Chat(id);
      this.byId.set(id, chat);
      this.changed(chat);
    }
    return chat;
  }

  /** Takes a stored message in, as it comes live or as one's own is acked. */
  add(entry) {
    const { chatId, seq } = entry.message;
    const chat = this.get(chatId);
    if (chat.messages.has(seq)) return;
    this.hear(chat, entry);
    chat.put(entry);
    chat.lastSeq = Math.max(chat.lastSeq, seq);
    while (chat.messages.has(chat.haveSeq + 1)) chat.haveSeq++;
    this.changed(chat, true);
  }

  /** Takes a page in; of what is here already the page is the newer. */
  addAll(chat, entries) {
    for (const entry of entries) {
      this.hear(chat, entry);
      chat.put(entry);
    }
    this.changed(chat, entries.length > 0);
  }

  /** What a message says of its sender: a name, and that all before it is read. */
  hear(chat, { message, sender }) {
    if (sender?.username) this.names.set(sender.id, sender.username);
    if (message.senderId === this.me) chat.readSeq = Math.max(chat.readSeq, message.seq);
    else chat.advance(message.senderId, message.seq, message.seq);
  }

  /** message:edited or message:deleted, also of a message that is on its way here. */
  amend(change) {
    const chat = this.get(change.chatId);
    if (chat.amended.get(change.seq)?.deletedAt && !change.deletedAt) return;
    chat.amended.set(change.seq, change);
    const entry = chat.messages.get(change.seq);
    if (entry && !chat.put(entry)) {
      chat.messages.delete(change.seq);
      chat.seqs.delete(change.messageId);
    }
    this.changed(chat);
  }

  /** reaction:new or reaction:remove. */
  reacted(change) {
    const chat = this.get(change.chatId);
    if (change.userName) this.names.set(change.userId, change.userName);
    chat.reactions.change(change, this.me);
    this.changed(chat);
  }

  /** A message whose time is over is gone, also while nobody tells. */
  expire(now) {
    for (const chat of this.byId.values()) {
      for (const { message } of chat.messages.values()) {
        if (message.deletedAt || !message.expiresAt || Date.parse(message.expiresAt) > now) continue;
        this.amend({ chatId: chat.id, messageId: message.id, seq: message.seq, deletedAt: message.expiresAt, reason: "expired", forEveryone: true });
      }
    }
  }

  note(chatId, at, text) {
    const chat = this.get(chatId);
    chat.notes.push({ at: new Date(at), text });
    if (chat.notes.length > 50) chat.notes.shift();
    this.changed(chat, true);
  }

  /** The user has read up to seq, here or elsewhere. True where that is new. */
  read(chat, seq) {
    if (seq <= chat.readSeq) return false;
    chat.readSeq = seq;
    this.changed(chat);
    return true;
  }

  typing({ chatId, userId, userName, threadId = "" }) {
    const chat = this.get(chatId);
    if (userName) this.names.set(userId, userName);
    chat.typing.set(`${threadId} ${userId}`, userId);
    this.changed(chat);
  }

  stoppedTyping({ chatId, userId, threadId = "" }) {
    const chat = this.get(chatId);
    if (chat.typing.delete(`${threadId} ${userId}`)) this.changed(chat);
  }

  /** Who was typing or had a chat open is not known without a connection. */
  lostSight() {
    for (const chat of this.byId.values()) {
      chat.typing.clear();
      chat.active = null;
    }
    this.changed(null);
  }

  /** The chats, the one with the newest message first. */
  list() {
    const at = (chat) => Date.parse(chat.newest()?.message.createdAt ?? 0) || 0;
    return [...this.byId.values()].map((chat) => [at(chat), chat]).sort(([a, x], [b, y]) => b - a || (x.id < y.id ? -1 : 1)).map(([, chat]) => chat);
  }

  unread() {
    let n = 0;
    for (const chat of this.byId.values()) n += chat.unread();
    return n;
  }
}
