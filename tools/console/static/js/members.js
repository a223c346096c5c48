// The panel of the open chat's members: who has it open now, and the others as
// far as receipts name them.

import { avatar, byId, el, reconcile } from "./dom.js";

/** Draws the panel, and on its button how many are active. */
export function showMembers(chats, chat) {
  const active = chat.active ?? new Set();
  byId("members-count").textContent = chat.active ? `${active.size} active` : "";
  if (byId("members").hidden) return;
  const byName = (a, b) => chats.nameOf(a).localeCompare(chats.nameOf(b));
  const others = [chats.me, ...(chat.receipts?.keys() ?? [])].filter((user) => !active.has(user));
  byId("active-none").hidden = active.size > 0;
  byId("others-part").hidden = others.length === 0;
  show(chats, byId("active-list"), [...active].sort(byName));
  show(chats, byId("others-list"), others.sort(byName));
}

function show(chats, list, users) {
  reconcile(list, users.map((user) => ({ key: user, version: chats.nameOf(user), user })), ({ user }) => {
    const name = chats.nameOf(user);
    return el("li", { class: "member", "data-user": user },
      avatar(user, name),
      el("span", { class: "words" }, user === chats.me ? `${name} (you)` : name),
      name === user ? undefined : el("span", { class: "id" }, user));
  });
}
