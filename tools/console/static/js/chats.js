// The chats of one user and their messages, ordered by seq. No page, no socket.

/** One chat. */
export class Chat {
  constructor(id, seen = 0) {
    this.id = id;
    this.name = "";
    this.seen = seen; // seq up to which it was on screen
    this.lastSeq = 0; // of the chat, as far as known
    this.messages = new Map(); // seq → message as the server sent it, with its sender
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

  /** Messages of others after what was seen. */
  unread(me) {
    let n = 0;
    for (const { message } of this.messages.values()) if (message.seq > this.seen && message.senderId !== me) n++;
    return n;
  }
}

/** All chats; "change" is dispatched with {chat, added} after each change. */
export class Chats extends EventTarget {
  constructor(me, known) {
    super();
    this.me = me;
    this.byId = new Map();
    for (const { id, seen } of known) this.byId.set(id, new Chat(id, seen));
  }

  changed(chat, added = false) {
    this.dispatchEvent(new CustomEvent("change", { detail: { chat, added } }));
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

  remove(id) {
    this.byId.delete(id);
    this.changed(null);
  }

  /** Takes a stored message in; a seq that is here already changes nothing. */
  add(entry) {
    const chat = this.get(entry.message.chatId);
    const isNew = !chat.messages.has(entry.message.seq);
    if (isNew) {
      chat.messages.set(entry.message.seq, entry);
      chat.lastSeq = Math.max(chat.lastSeq, entry.message.seq);
      this.changed(chat, true);
    }
    return isNew;
  }

  addAll(chat, entries) {
    for (const entry of entries) chat.messages.set(entry.message.seq, entry);
    this.changed(chat, entries.length > 0);
  }

  note(chatId, at, text) {
    const chat = this.get(chatId);
    chat.notes.push({ at: new Date(at), text });
    if (chat.notes.length > 50) chat.notes.shift();
    this.changed(chat, true);
  }

  /** Everything here has been on screen. */
  see(chat) {
    const newest = Math.max(chat.seen, ...chat.messages.keys());
    if (newest === chat.seen) return;
    chat.seen = newest;
    this.changed(chat);
  }

  /** The chats, the one with the newest message first. */
  list() {
    const at = (chat) => {
      const newest = chat.messages.get(Math.max(0, ...chat.messages.keys()));
      return newest ? Date.parse(newest.message.createdAt) : 0;
    };
    return [...this.byId.values()].map((chat) => [at(chat), chat]).sort(([a, x], [b, y]) => b - a || (x.id < y.id ? -1 : 1)).map(([, chat]) => chat);
  }

  unread() {
    let n = 0;
    for (const chat of this.byId.values()) n += chat.unread(this.me);
    return n;
  }
}
