// The page: who is logged in, which chat is open, and what the user does.

import { showNotifications, showPushing, whenOpened } from "./bell.js";
import { showCalls, toggle } from "./callview.js";
import { enter, older } from "./catchup.js";
import { Chats } from "./chats.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { byId } from "./dom.js";
import { showChats } from "./list.js";
import { showMembers } from "./members.js";
import { askDeletion, showMenu, showWho } from "./menu.js";
import { send } from "./outbox.js";
import { onShow, partner } from "./presence.js";
import { askStatus, showMe } from "./status.js";
import { deviceOf, loadChats, saveChats, session } from "./storage.js";
import { offerReactions, toggleReaction } from "./reactions.js";
import { onScreen, showChat, showProblem, showState } from "./view.js";
import { inBrief } from "./words.js";

const settings = await (await fetch("config.json")).json();

let chats, connection;
let openId = "";

const composer = new Composer({
  typed: (text) => connection.typist.typed(openId, text),
  stopped: () => connection?.typist.stop(),
  send: (what) => {
    toEnd();
    connection.typist.sent();
    send(connection, chats.get(openId), what);
  },
  save: (message, text) => tell(() => connection.edit(message, text)),
});

function logIn(who) {
  session.save(who);
  chats = new Chats(who.user, loadChats(who.user));
  chats.names.set(who.user, who.name);
  connection = new Connection(settings.gateway, { ...who, device: deviceOf(who.user) }, chats);
  connection.addEventListener("state", (e) => showState(e.detail));
  connection.addEventListener("problem", (e) => showProblem(e.detail.text));
  chats.addEventListener("change", (e) => changed(e.detail));
  connection.calls.addEventListener("change", () => whenReleased("calls", () => showCalls(connection.calls, chats)));
  const { notifications, pushing } = connection;
  notifications.addEventListener("change", () => whenReleased("notifications", () => showNotifications(notifications, chats)));
  pushing.addEventListener("change", () => showPushing(pushing));
  showNotifications(notifications, chats);
  setInterval(() => {
    chats.expire(now());
    if (document.querySelector(".fuse")) changed({});
  }, 1_000);
  setInterval(() => changed({}), 20_000); // how long ago people were seen
  showState({ state: "connecting" });
  showMe(who);
  byId("login").hidden = true;
  byId("app").hidden = false;
  leaveChat();
  listChats();
  if (matchMedia("(min-width: 46.01rem)").matches) openChat(chats.list()[0]?.id ?? "lobby");
}

async function logOut() {
  connection.typist.stop();
  if (connection.pushing.on) await connection.pushing.set(false);
  connection.close();
  session.clear();
  location.reload();
}

const listChats = () => showChats(chats, openId, connection.presences.of, now());

/** The server's clock. */
const now = () => Date.now() + connection.ahead;

/** Does what the server may refuse; true if it did not, else its words are shown. */
async function tell(act) {
  try {
    await act();
    return true;
  } catch (error) {
    showProblem(error.message);
    return false;
  }
}

let pressed = false;
const waiting = new Map(); // part of the page → how it is drawn

/**
 * Draws a part of the page, but not while a pointer is down: a browser gives no
 * click where the element under the pointer was replaced or moved since the press.
 */
function whenReleased(part, draw) {
  if (pressed) waiting.set(part, draw);
  else draw();
}

function released() {
  pressed = false;
  setTimeout(() => { // the click comes first
    if (pressed) return;
    const draws = [...waiting.values()];
    waiting.clear();
    for (const draw of draws) draw();
  });
}

let drawing = false;
let grew = false;
/** Draws once per frame, however many messages came in. */
function changed({ chat, added }) {
  grew ||= added && chat?.id === openId;
  if (drawing) return;
  drawing = true;
  // A page in the background gets no frames, but its title must show what is unread.
  (document.hidden ? (draw) => setTimeout(draw, 100) : requestAnimationFrame)(() => whenReleased("chats", draw));
}

let saved = "";
function draw() {
  drawing = false;
  const open = chats.byId.get(openId);
  if (open) {
    const atEnd = showChat(chats, open, now());
    byId("call-buttons").hidden = !partner(open);
    showMembers(chats, open, connection.presences.of, now());
    if (open.loaded && open.unread() > 0 && !document.hidden) see(open, onScreen(open, atEnd));
    byId("latest").hidden = atEnd || !grew || open.unread() === 0;
    grew &&= !atEnd;
  }
  connection.presences.want(onShow(chats, open));
  showMe(connection.who, connection.presences.of.get(chats.me));
  listChats();
  const list = [...chats.byId.values()].map(({ id, name }) => ({ id, name }));
  if (JSON.stringify(list) !== saved) saveChats(chats.me, list);
  saved = JSON.stringify(list);
}

/** Calls the one other member of the open chat. */
function callPartner(callType) {
  const open = chats.byId.get(openId);
  if (open && partner(open)) connection.calls.call(partner(open), callType, open.id);
}

function see(chat, seq) {
  if (chats.read(chat, seq)) connection.receipts.read(chat.id, seq);
}

function openChat(id) {
  if (openId === id && chats.get(id).loaded) return;
  openId = id;
  byId("pane").hidden = false;
  byId("empty").hidden = true;
  byId("app").classList.add("chatting");
  byId("log").replaceChildren();
  const chat = chats.get(id);
  composer.show(chats, chat);
  showChat(chats, chat, now());
  toEnd();
  const entered = enter(connection, chat);
  changed({ chat });
  if (matchMedia("(hover: hover)").matches) byId("text").focus();
  return entered;
}

/** Goes to what a notification, or a push, is about. */
async function goTo({ type, chatId, messageId }) {
  if (type.startsWith("call_")) {
    if (matchMedia("(max-width: 46rem)").matches) leaveChat(); // the history is behind it
    listChats();
    byId("calls").open = true;
    byId("calls").querySelector("summary").focus();
  } else if (chatId) {
    await openChat(chatId);
    const chat = chats.get(chatId);
    if (messageId && chat.loaded && openId === chatId) await jump(chat, messageId);
  }
}

function leaveChat() {
  composer.show(chats, null);
  byId("members").hidden = true;
  byId("members-open").setAttribute("aria-expanded", "false");
  openId = "";
  connection.open = "";
  byId("pane").hidden = true;
  byId("empty").hidden = false;
  byId("app").classList.remove("chatting");
}

function toEnd() {
  byId("scroll").scrollTop = byId("scroll").scrollHeight;
}

function membersShown(shown) {
  byId("members").hidden = !shown;
  byId("members-open").setAttribute("aria-expanded", String(shown));
  if (shown) changed({});
  else byId("members-open").focus();
}

function actionsOf(chat, entry) {
  const mine = entry.message.senderId === chats.me;
  const gone = Boolean(entry.message.deletedAt);
  return [
    !gone && { name: "Reply", act: () => composer.reply(entry) },
    !gone && mine && { name: "Edit", act: () => composer.edit(entry) },
    { name: "Delete…", act: () => remove(chat, entry) },
  ].filter(Boolean);
}

async function remove(chat, entry) {
  const { message } = entry;
  const mayForAll = !message.deletedAt && (message.senderId === chats.me || chat.role !== "member");
  const choice = await askDeletion(inBrief(entry, chats.me).slice(0, 200), mayForAll);
  if (choice) await tell(() => connection.delete(message, choice === "everyone"));
}

/** Scrolls to a message, reading older pages until it is here. */
async function jump(chat, id) {
  for (let pages = 0; !chat.byMessageId(id) && chat.more && pages < 20; pages++) {
    if (!(await tell(() => older(connection, chat)))) return;
  }
  const entry = chat.byMessageId(id);
  if (!entry) return showProblem("That message is not here any more.");
  draw();
  const node = byId("log").querySelector(`[data-seq="${entry.message.seq}"]`);
  node.scrollIntoView({ block: "center" });
  node.focus({ preventScroll: true });
}

byId("login-form").addEventListener("submit", (e) => {
  e.preventDefault();
  const user = byId("login-user").value.trim();
  if (user) logIn({ user, name: byId("login-name").value.trim() });
});
byId("logout").addEventListener("click", logOut);
byId("state").addEventListener("click", (e) => e.target.id === "reconnect" && connection.reconnect());
byId("open-form").addEventListener("submit", (e) => {
  e.preventDefault();
  const id = byId("open-chat").value.trim();
  byId("open-chat").value = "";
  if (id) openChat(id);
});
byId("chats").addEventListener("click", (e) => {
  const button = e.target.closest("[data-chat]");
  if (button) openChat(button.dataset.chat);
});
byId("back").addEventListener("click", () => {
  leaveChat();
  listChats();
  changed({});
});
byId("me").addEventListener("click", () => askStatus(connection.presences.of.get(chats.me), (update) => tell(() => connection.setStatus(update))));
byId("members-open").addEventListener("click", () => membersShown(byId("members").hidden));
byId("members-close").addEventListener("click", () => membersShown(false));
byId("members").addEventListener("keydown", (e) => e.key === "Escape" && membersShown(false));
byId("call-audio").addEventListener("click", () => callPartner("audio"));
byId("call-video").addEventListener("click", () => callPartner("video"));
byId("call-accept").addEventListener("click", () => connection.calls.accept());
byId("call-decline").addEventListener("click", () => connection.calls.leave());
byId("incoming").addEventListener("cancel", (e) => e.preventDefault()); // Escape is no answer
byId("call-hangup").addEventListener("click", () => connection.calls.leave());
byId("call-mute").addEventListener("click", () => toggle(connection.calls.now, "call-mute", "audio"));
byId("call-camera").addEventListener("click", () => toggle(connection.calls.now, "call-camera", "video"));
whenOpened(() => connection.notifications.load());
byId("bell-read").addEventListener("click", () => tell(() => connection.notifications.markAllRead()));
byId("bell-clear").addEventListener("click", () => {
  byId("bell-panel").focus(); // the button can do nothing then
  tell(() => connection.notifications.clearAll());
});
byId("bell-older").addEventListener("click", async () => {
  byId("bell-older").disabled = true;
  await connection.notifications.more();
  byId("bell-older").disabled = false;
});
byId("bell-list").addEventListener("click", (e) => {
  const { told, clear } = e.target.closest("button")?.dataset ?? {};
  const { notifications } = connection;
  if (clear) return tell(() => notifications.clear(clear));
  const notification = notifications.list.find(({ id }) => id === told);
  if (!notification) return;
  byId("bell-panel").hidePopover();
  if (!notification.read) tell(() => notifications.markRead(told));
  goTo(notification);
});
byId("push").addEventListener("change", (e) => connection.pushing.set(e.target.checked));
navigator.serviceWorker?.addEventListener("message", ({ data, ports: [port] }) => {
  const mine = data.userId === chats?.me;
  port.postMessage(mine);
  if (!mine) return;
  if (connection.notifications.list.some(({ id, read }) => id === data.notificationId && !read)) tell(() => connection.notifications.markRead(data.notificationId));
  goTo(data);
});
byId("history").addEventListener("click", (e) => {
  const { user, type } = e.target.closest("button")?.dataset ?? {};
  if (user) connection.calls.call(user, type);
});
byId("older").addEventListener("click", async () => {
  byId("older").disabled = true;
  await tell(() => older(connection, chats.get(openId)));
  byId("older").disabled = false;
});
byId("latest").addEventListener("click", () => { toEnd(); changed({}); });
byId("scroll").addEventListener("scroll", () => {
  const open = chats?.byId.get(openId);
  if (open && open.unread() > 0) changed({ chat: open });
});
byId("log").addEventListener("click", (e) => {
  const open = chats.get(openId);
  const button = e.target.closest("button");
  if (!button) return;
  const { menu, jump: id, discard, react, on } = button.dataset;
  if (menu) {
    const entry = open.messages.get(Number(menu));
    const take = (reaction) => tell(() => toggleReaction(connection, open, entry.message, reaction));
    showMenu(button, actionsOf(open, entry), (list) => entry.message.deletedAt || offerReactions(list, take));
  } else if (react) tell(() => toggleReaction(connection, open, open.messages.get(Number(on)).message, react));
  else if (id) jump(open, id);
  else if (button.matches(".ticks")) showWho(button, chats, open.receiptOf(Number(button.closest("[data-seq]").dataset.seq)), [...(open.receipts?.keys() ?? [])]);
  else if (discard) {
    open.outbox = open.outbox.filter((item) => item.tempId !== discard);
    chats.changed(open);
  }
});
addEventListener("pointerdown", () => { pressed = true; }, true);
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, released, true);
addEventListener("blur", released); // what happens outside is not told
document.addEventListener("visibilitychange", () => {
  if (!chats) return;
  if (document.hidden) connection.typist.stop();
  changed({});
});

const known = session.load();
if (known?.user) {
  logIn(known);
} else {
  byId("login").hidden = false;
  byId("login-user").focus();
}
