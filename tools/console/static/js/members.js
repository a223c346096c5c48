// The panel of the open chat's members: who has it open now, and the others as
// far as receipts name them.

import { avatar, byId, el, reconcile } from "./dom.js";
import { presenceWords } from "./words.js";

/** Draws the panel, and on its button how many are active. */
export function showMembers(chats, chat, presences, now) {
  const active = chat.active ?? new Set();
  byId("members-count").textContent = chat.active ? `${active.size} active` : "";
  if (byId("members").hidden) return;
  const byName = (a, b) => chats.nameOf(a).localeCompare(chats.nameOf(b));
  const others = [chats.me, ...(chat.receipts?.keys() ?? [])].filter((user) => !active.has(user));
  byId("active-none").hidden = active.size > 0;
  byId("others-part").hidden = others.length === 0;
  show(chats, byId("active-list"), [...active].sort(byName), presences, now);
  show(chats, byId("others-list"), others.sort(byName), presences, now);
}

function show(chats, list, users, presences, now) {
  const rows = users.map((user) => {
    const presence = presences.get(user);
    const row = { name: chats.nameOf(user), status: presence?.status, here: presenceWords(presence, now) };
    return { key: user, version: JSON.stringify(row), user, row };
  });
  reconcile(list, rows, ({ user, row: { name, status, here } }) => {
    const details = [name === user ? "" : user, here].filter(Boolean).join(" · ");
    return el("li", { class: "member", "data-user": user },
      avatar(user, name, status),
      el("span", { class: "words" }, user === chats.me ? `${name} (you)` : name),
      details ? el("span", { class: "id" }, details) : undefined);
  });
}
