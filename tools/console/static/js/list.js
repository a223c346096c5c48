// The list of chats and the page's title: unread counts, the last message, who types.

import { avatar, briefly, byId, el, reconcile } from "./dom.js";
import { partner } from "./presence.js";
import { inBrief, presenceWords, typingWords } from "./words.js";

/** The list of chats, the one with the newest message first. */
export function showChats(chats, openId, presences, now) {
  const items = chats.list().map((chat) => {
    const newest = chat.newest();
    const from = newest && !newest.message.deletedAt ? `${newest.message.senderId === chats.me ? "You" : newest.sender?.username || newest.message.senderId}: ` : "";
    const presence = presences.get(partner(chat));
    const row = {
      status: presence?.status,
      here: presenceWords(presence, now),
      title: chat.title(),
      when: newest ? briefly(new Date(newest.message.createdAt)) : "",
      last: newest ? from + inBrief(newest, chats.me).slice(0, 200) : "No messages",
      gone: Boolean(newest?.message.deletedAt),
      edited: Boolean(newest?.message.editedAt && !newest.message.deletedAt),
      typing: typingWords(chats, chat),
      unread: chat.unread(),
      current: chat.id === openId,
    };
    return { key: chat.id, version: JSON.stringify(row), row, id: chat.id };
  });
  reconcile(byId("chats"), items, chatNode);
  const total = chats.unread();
  document.title = total ? `(${total}) SUP console` : "SUP console";
}

function chatNode({ id, row }) {
  const last = row.typing
    ? el("span", { class: "last typing" }, row.typing)
    : el("span", { class: `last${row.gone ? " gone" : ""}` }, row.last, row.edited ? el("span", { class: "edited" }, " edited") : undefined);
  return el("li", {},
    el("button", { type: "button", class: "chat", "aria-current": row.current ? "true" : undefined, "data-chat": id },
      avatar(id, row.title, row.status),
      el("span", { class: "title" }, row.title),
      el("span", { class: "when" }, row.when),
      last,
      row.here ? el("span", { class: "here" }, row.here) : undefined,
      row.unread ? el("span", { class: "badge" }, row.unread > 99 ? "99+" : String(row.unread), el("span", { class: "hidden" }, " unread")) : undefined));
}
