// One message as an element. Ticks and the countdown change in place: a screen
// reader must not hear the message again because of them.

import { avatar, el, span, time } from "./dom.js";
import { pills } from "./reactions.js";
import { goneWords, inBrief, receiptWords } from "./words.js";

/** The element of a stored message; first begins a group of one sender. */
export function messageNode({ chats, chat, entry, at, first, quoted }) {
  const { message, sender } = entry;
  const mine = message.senderId === chats.me;
  const gone = Boolean(message.deletedAt);
  const kind = `${first ? " first" : ""}${mine ? " mine" : ""}${gone ? " gone" : ""}`;
  return el("li", { class: `message${kind}`, "data-seq": message.seq, tabindex: "-1" },
    avatar(message.senderId, sender?.username),
    el("div", { class: "bubble" },
      el("span", { class: "from" }, sender?.username || message.senderId),
      message.replyToId && !gone ? quote(chats, message.replyToId, quoted) : undefined,
      el("div", { class: "text", dir: "auto" }, gone ? goneWords(entry, chats.me) : message.encryptedContent),
      el("div", { class: "meta" },
        message.editedAt && !gone ? el("span", { class: "edited" }, "edited") : undefined,
        message.expiresAt && !gone ? el("span", { class: "fuse", "aria-live": "off" }) : undefined,
        el("time", { datetime: message.createdAt, title: `seq ${message.seq} · ${message.id}` }, time(at)),
        mine && !gone ? ticks(chat) : undefined)),
    gone ? undefined : pills(chat.reactions.of(message.id), message.seq),
    el("button", { type: "button", class: "more", "aria-label": "Message actions", "aria-haspopup": "menu", "data-menu": message.seq }, "⋯"));
}

function quote(chats, id, quoted) {
  const from = quoted ? (quoted.message.senderId === chats.me ? "You" : quoted.sender?.username || quoted.message.senderId) : "";
  return el("button", { type: "button", class: "quote", "data-jump": id },
    el("span", { class: "hidden" }, "In reply to "),
    from ? el("b", {}, from) : undefined,
    el("span", { dir: "auto" }, quoted ? inBrief(quoted, chats.me).slice(0, 200) : "An earlier message"));
}

/** In a group a button that shows who; touch says what it shows. */
function ticks(chat) {
  const group = chat.receipts?.size > 1;
  return el(group ? "button" : "span", { class: "ticks", "aria-live": "off", type: group ? "button" : undefined, "aria-haspopup": group ? "dialog" : undefined },
    el("span", { "aria-hidden": "true" }), el("span", { class: "hidden" }));
}

/** Brings ticks and countdown of a message's element up to date; now is the server's clock. */
export function touch(node, chat, message, now) {
  const mark = node.querySelector(".ticks");
  if (mark) {
    const { state, marks, words } = receiptWords(chat.receiptOf(message.seq));
    if (mark.dataset.words !== words) {
      mark.dataset.state = state;
      mark.dataset.words = words;
      mark.title = words;
      mark.firstChild.textContent = marks;
      mark.lastChild.textContent = words;
    }
  }
  const fuse = node.querySelector(".fuse");
  if (!fuse) return;
  const left = span(Date.parse(message.expiresAt) - now);
  if (fuse.dataset.left === left) return;
  fuse.dataset.left = left;
  fuse.replaceChildren(el("span", { class: "clock" }), el("span", { class: "hidden" }, "disappears in "), left);
}

/** A message that is not sent yet. */
export function waitingNode(item) {
  const fault = item.fault
    ? el("div", { class: "fault" }, `Not sent: ${item.fault}`, el("button", { type: "button", "data-discard": item.tempId }, "Discard"))
    : el("div", { class: "meta" }, item.note || (item.sending ? "sending…" : "waiting for the connection…"));
  return el("li", { class: `message mine first${item.fault ? " failed" : ""}` },
    el("div", { class: "bubble" }, el("div", { class: "text", dir: "auto" }, item.text), fault));
}
