// What the page shows of the chats. It only reads them; app.js handles input.

import { avatar, briefly, byId, day, el, reconcile, sameDay, time } from "./dom.js";

const group = 5 * 60_000; // messages of one sender this close stand together

/** The list of chats, with unread counts. */
export function showChats(chats, openId) {
  const items = chats.list().map((chat) => {
    const newest = chat.messages.get(Math.max(0, ...chat.messages.keys()));
    const unread = chat.id === openId && !document.hidden ? 0 : chat.unread(chats.me);
    const current = chat.id === openId;
    return { key: chat.id, version: JSON.stringify([newest?.message.seq, unread, current, chat.name]), chat, newest, unread, current };
  });
  reconcile(byId("chats"), items, ({ chat, newest, unread, current }) => {
    const last = newest ? `${newest.message.senderId === chats.me ? "You" : nameOf(newest)}: ${newest.message.encryptedContent}` : "No messages";
    return el("li", {},
      el("button", { type: "button", class: "chat", "aria-current": current ? "true" : undefined, "data-chat": chat.id },
        avatar(chat.id, chat.title()),
        el("span", { class: "title" }, chat.title()),
        el("span", { class: "when" }, newest ? briefly(new Date(newest.message.createdAt)) : ""),
        el("span", { class: "last" }, last),
        unread ? el("span", { class: "badge" }, unread > 99 ? "99+" : String(unread), el("span", { class: "hidden" }, " unread")) : undefined));
  });
  const total = chats.unread();
  document.title = total ? `(${total}) SUP console` : "SUP console";
}

const nameOf = (entry) => entry.sender?.username || entry.message.senderId;

/** The open chat: header and messages. */
export function showChat(chats, chat) {
  byId("chat-title").textContent = chat.title();
  const count = chat.lastSeq === 1 ? "1 message" : `${chat.lastSeq} messages`;
  byId("chat-info").textContent = chat.loaded ? count : "Loading…";
  byId("older").hidden = !chat.more;
  const rows = rowsOf(chats, chat);
  byId("nothing").hidden = !chat.loaded || rows.length > 0;

  const scroll = byId("scroll");
  const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
  const fromEnd = scroll.scrollHeight - scroll.scrollTop;
  const firstBefore = byId("log").firstElementChild?.dataset.key;
  reconcile(byId("log"), rows, (row) => row.node());
  if (atEnd) scroll.scrollTop = scroll.scrollHeight;
  else if (firstBefore !== rows[0]?.key) scroll.scrollTop = scroll.scrollHeight - fromEnd; // older ones came in above
  return atEnd;
}

/** Messages, notes, days and what is not sent yet, in the order shown. */
function rowsOf(chats, chat) {
  const entries = [
    ...chat.ordered().map((entry) => ({ at: new Date(entry.message.createdAt), entry })),
    ...chat.notes.map((note) => ({ at: note.at, note })),
  ].sort((a, b) => a.at - b.at || (a.entry?.message.seq ?? 0) - (b.entry?.message.seq ?? 0));

  const rows = [];
  let before;
  const dayOf = (at) => {
    if (!before || !sameDay(before.at, at)) {
      rows.push({ key: `day ${at.toDateString()}`, version: 0, node: () => el("li", { class: "day" }, day(at)) });
      before = undefined;
    }
  };
  entries.forEach(({ at, entry, note }, i) => {
    dayOf(at);
    if (note) {
      rows.push({ key: `note ${i} ${note.text}`, version: 0, node: () => el("li", { class: "note" }, `${note.text} · ${time(at)}`) });
      before = { at };
      return;
    }
    const first = before?.from !== entry.message.senderId || at - before.at > group;
    rows.push({
      key: `seq ${entry.message.seq}`,
      version: first,
      node: () => message(entry, at, first, entry.message.senderId === chats.me),
    });
    before = { at, from: entry.message.senderId };
  });
  for (const item of chat.outbox) {
    dayOf(item.at);
    rows.push({ key: `sent ${item.tempId}`, version: `${item.fault} ${item.sending} ${item.note}`, node: () => waiting(item) });
    before = { at: item.at };
  }
  return rows;
}

function message({ message, sender }, at, first, mine) {
  return el("li", { class: `message${first ? " first" : ""}${mine ? " mine" : ""}`, "data-seq": message.seq },
    avatar(message.senderId, sender?.username),
    el("div", { class: "bubble" },
      el("span", { class: "from" }, sender?.username || message.senderId),
      el("div", { class: "text", dir: "auto" }, message.encryptedContent),
      el("div", { class: "meta" },
        el("time", { datetime: message.createdAt, title: `seq ${message.seq} · ${message.id}` }, time(at)),
        mine ? el("span", { role: "img", "aria-label": "sent" }, "✓") : undefined)));
}

function waiting(item) {
  const fault = item.fault
    ? el("div", { class: "fault" }, `Not sent: ${item.fault}`, el("button", { type: "button", "data-discard": item.tempId }, "Discard"))
    : el("div", { class: "meta" }, item.note || (item.sending ? "sending…" : "waiting for the connection…"));
  return el("li", { class: `message mine first${item.fault ? " failed" : ""}` },
    el("div", { class: "bubble" }, el("div", { class: "text", dir: "auto" }, item.text), fault));
}

/** The line under the user's name. */
export function showState({ state, detail }) {
  const words = { connecting: "Connecting…", online: "Connected", closed: "Disconnected" }[state];
  const line = byId("state");
  line.className = `state ${state}`;
  line.replaceChildren(el("span", {}, detail ? `${words} · ${detail}` : words));
  if (state === "closed") line.append(el("button", { type: "button", id: "reconnect" }, "Reconnect"));
}

let fade;
/** A short-lived notice about something that went wrong. */
export function showProblem(text) {
  const notice = byId("notice");
  notice.textContent = text;
  notice.hidden = false;
  clearTimeout(fade);
  fade = setTimeout(() => { notice.hidden = true; }, 6_000);
}
