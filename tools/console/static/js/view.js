// What the page shows of the open chat. It only reads it; app.js handles input.

import { byId, day, el, reconcile, sameDay, time } from "./dom.js";
import { messageNode, touch, waitingNode } from "./message.js";
import { inBrief, typingWords } from "./words.js";

const group = 5 * 60_000; // messages of one sender this close stand together

/** The open chat: header and messages. True where its end is on screen. */
export function showChat(chats, chat, now) {
  byId("chat-title").textContent = chat.title();
  const count = chat.lastSeq === 1 ? "1 message" : `${chat.lastSeq} messages`;
  byId("chat-info").textContent = chat.loaded ? count : "Loading…";
  const typing = typingWords(chats, chat);
  if (byId("typing").textContent !== typing) byId("typing").textContent = typing;
  byId("older").hidden = !chat.more;
  const rows = rowsOf(chats, chat, now);
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

/** The seq up to which the open chat has been on screen. */
export function onScreen(chat, atEnd) {
  if (atEnd) return Math.max(chat.haveSeq, chat.newest()?.message.seq ?? 0);
  const end = byId("scroll").getBoundingClientRect().bottom;
  const rows = byId("log").querySelectorAll("[data-seq]");
  for (let i = rows.length - 1; i >= 0; i--) {
    const { top, height } = rows[i].getBoundingClientRect();
    if (top + Math.min(height, 40) <= end) return Number(rows[i].dataset.seq);
  }
  return 0;
}

/** Messages, notes, days and what is not sent yet, in the order shown. */
function rowsOf(chats, chat, now) {
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
    const { message } = entry;
    const first = before?.from !== message.senderId || at - before.at > group;
    const quoted = chat.byMessageId(message.replyToId);
    rows.push({
      key: `seq ${message.seq}`,
      version: JSON.stringify([first, message.editedAt, message.deletedAt, quoted && inBrief(quoted, chats.me), chat.receipts?.size > 1, reactionsOf(chat, message)]),
      node: () => messageNode({ chats, chat, entry, at, first, quoted }),
      touch: (node) => touch(node, chat, message, now),
    });
    before = { at, from: message.senderId };
  });
  for (const item of chat.outbox) {
    dayOf(item.at);
    rows.push({ key: `sent ${item.tempId}`, version: `${item.fault} ${item.sending} ${item.note}`, node: () => waitingNode(item) });
    before = { at: item.at };
  }
  return rows;
}

const reactionsOf = (chat, { id }) => {
  const on = chat.reactions.of(id);
  return on && [on.counts, [...on.mine]];
};

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
