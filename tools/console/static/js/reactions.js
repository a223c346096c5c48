// Reactions on messages: pills below a bubble, a row to choose from, and what the
// server says of them. A pill shows what is stored, never what was only asked for.

import { byId, el } from "./dom.js";

const inOneSummary = 100; // messages a reaction:summary may name
const offered = ["👍", "❤️", "😂", "😮", "😢", "🙏"];

/** What stands on the messages of one chat. */
export class Reactions {
  constructor() {
    this.byMessage = new Map(); // message id → {counts, mine}
    this.changes = new Map(); // message id → how many events there were
  }

  of(id) {
    return this.byMessage.get(id);
  }

  /** What the server has on a message, whole. */
  set(id, counts, mine) {
    if (Object.keys(counts).length === 0) this.byMessage.delete(id);
    else this.byMessage.set(id, { counts, mine: new Set(mine) });
  }

  /** reaction:new or reaction:remove: count is how many have it now. */
  change({ messageId, userId, reaction, action, count }, me) {
    this.changes.set(messageId, (this.changes.get(messageId) ?? 0) + 1);
    const { counts, mine } = this.byMessage.get(messageId) ?? { counts: {}, mine: new Set() };
    const next = { ...counts, [reaction]: count };
    if (count <= 0) delete next[reaction];
    const own = new Set(mine);
    if (userId === me) own[action === "add" ? "add" : "delete"](reaction);
    this.set(messageId, next, own);
  }
}

/** Asks what stands on messages that have come in pages. */
export async function summarize(connection, chat, messages) {
  const ids = messages.filter((message) => !message.deletedAt).map((message) => message.id);
  const { changes } = chat.reactions;
  while (ids.length > 0 && connection.ready) {
    const messageIds = ids.splice(0, inOneSummary);
    const before = new Map(messageIds.map((id) => [id, changes.get(id)]));
    const answer = await connection.request("reaction:summary", { chatId: chat.id, messageIds });
    const found = new Map(answer.messages.map((m) => [m.messageId, m]));
    for (const id of messageIds) {
      if (changes.get(id) !== before.get(id)) ids.push(id); // an event came first, and the answer may be older
      else chat.reactions.set(id, found.get(id)?.counts ?? {}, found.get(id)?.mine ?? []);
    }
    connection.chats.changed(chat);
  }
}

/** Puts a reaction on a message, or takes one's own away; the server's event shows it. */
export function toggleReaction(connection, chat, message, reaction) {
  const event = chat.reactions.of(message.id)?.mine.has(reaction) ? "reaction:remove" : "reaction:new";
  return connection.request(event, { chatId: chat.id, messageId: message.id, reaction });
}

/** The pills of a message; nothing where it has none. */
export function pills(on, seq) {
  if (!on) return undefined;
  const names = Object.keys(on.counts).sort((a, b) => on.counts[b] - on.counts[a] || (a < b ? -1 : 1));
  return el("div", { class: "pills" }, ...names.map((reaction) => {
    const mine = on.mine.has(reaction);
    const n = on.counts[reaction];
    return el("button", { type: "button", class: "pill", "aria-pressed": String(mine), "data-react": reaction, "data-on": seq,
      "aria-label": `${reaction}, ${n === 1 ? "one person" : `${n} people`}` }, `${reaction} ${n}`);
  }));
}

/** Offers reactions at a button; take is called with the one chosen. */
export function offerReactions(menu, take) {
  const row = el("div", { class: "offer", role: "group", "aria-label": "React" }, ...offered.map((reaction) => {
    const button = el("button", { type: "button", role: "menuitem", tabindex: "-1", "aria-label": `React with ${reaction}` }, reaction);
    button.addEventListener("click", () => {
      byId("menu").hidePopover();
      take(reaction);
    });
    return button;
  }));
  menu.prepend(row);
}
