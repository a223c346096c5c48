// What the page shows of notifications: the bell with its count, and the list.

import { avatar, briefly, byId, el, reconcile } from "./dom.js";
import { place } from "./menu.js";
import { notificationWords } from "./words.js";

/** Draws the bell and, where it is open, the list. */
export function showNotifications(notifications, chats) {
  const unread = notifications.unread();
  byId("bell-count").textContent = unread || "";
  byId("bell-count").hidden = !unread;
  byId("bell").setAttribute("aria-label", unread ? `Notifications, ${unread} unread` : "Notifications");
  byId("bell-none").hidden = notifications.list.length > 0;
  byId("bell-none").textContent = notifications.loaded ? "Nothing here." : "Loading…";
  byId("bell-older").hidden = !notifications.cursor;
  byId("bell-read").disabled = !unread;
  byId("bell-clear").disabled = notifications.list.length === 0;
  const items = notifications.list.map((notification) => {
    const { id, type, title, message, fromUserId, chatId, read, timestamp } = notification;
    const chat = chatId && chats.byId.get(chatId)?.title();
    const row = { title, message, from: fromUserId, chat, read, kind: notificationWords(type), when: briefly(new Date(timestamp)) };
    return { key: id, version: JSON.stringify(row), id, row };
  });
  const focused = byId("bell-list").contains(document.activeElement);
  const at = focused && [...byId("bell-list").children].findIndex((node) => node.contains(document.activeElement));
  reconcile(byId("bell-list"), items, noticeNode);
  // What had the focus was drawn anew, or has gone: the one in its place has it then.
  if (focused && !byId("bell-list").contains(document.activeElement)) {
    const { children } = byId("bell-list");
    (children[Math.min(at, children.length - 1)]?.querySelector("button") ?? byId("bell-panel")).focus();
  }
}

function noticeNode({ id, row }) {
  return el("li", { class: `told${row.read ? "" : " unread"}` },
    el("button", { type: "button", class: "told-open", "data-told": id },
      avatar(row.from || row.kind, row.from ? row.title : row.kind),
      el("span", { class: "title", dir: "auto" }, row.title),
      el("span", { class: "when" }, row.when),
      el("span", { class: "last", dir: "auto" }, row.message),
      el("span", { class: "kind" }, row.kind, row.chat ? ` · ${row.chat}` : "", el("span", { class: "hidden" }, row.read ? " · read" : " · unread"))),
    el("button", { type: "button", class: "quiet", "data-clear": id, "aria-label": `Clear: ${row.title}, ${row.kind}` }, "✕"));
}

/** Has the panel stand below the bell; opened is called when it opens. */
export function whenOpened(opened) {
  byId("bell-panel").addEventListener("toggle", (e) => {
    byId("bell").setAttribute("aria-expanded", String(e.newState === "open"));
    if (e.newState !== "open") return;
    place(byId("bell-panel"), byId("bell"));
    byId("bell-panel").focus();
    opened();
  });
  addEventListener("resize", () => byId("bell-panel").matches(":popover-open") && place(byId("bell-panel"), byId("bell")));
}

/** Draws the switch for push to this browser; there is none where there is no push. */
export function showPushing({ key, on, wanted, busy, fault }) {
  byId("push-part").hidden = !key;
  byId("push").checked = busy ? wanted : on;
  byId("push").disabled = busy;
  byId("push-fault").textContent = fault;
}
