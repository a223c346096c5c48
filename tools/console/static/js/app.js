// The page: who is logged in, which chat is open, and what the user does.

import { Chats } from "./chats.js";
import { Connection } from "./connection.js";
import { avatar, byId, el } from "./dom.js";
import { deviceOf, loadChats, saveChats, session } from "./storage.js";
import { showChat, showChats, showProblem, showState } from "./view.js";

const settings = await (await fetch("config.json")).json();

let chats, connection;
let openId = "";

function logIn(who) {
  session.save(who);
  chats = new Chats(who.user, loadChats(who.user));
  connection = new Connection(settings.gateway, { ...who, device: deviceOf(who.user) }, chats);
  connection.addEventListener("state", (e) => showState(e.detail));
  connection.addEventListener("problem", (e) => showProblem(e.detail.text));
  chats.addEventListener("change", (e) => changed(e.detail));
  showState({ state: "connecting" });
  byId("me").replaceChildren(avatar(who.user, who.name || who.user), el("span", { class: "words" }, who.name || who.user));
  byId("login").hidden = true;
  byId("app").hidden = false;
  leaveChat();
  showChats(chats, openId);
  if (matchMedia("(min-width: 46.01rem)").matches) openChat(chats.list()[0]?.id ?? "lobby");
}

function logOut() {
  connection.close();
  session.clear();
  location.reload();
}

let drawing = false;
let grew = false;
/** Draws once per frame, however many messages came in. */
function changed({ chat, added }) {
  grew ||= added && chat?.id === openId;
  if (drawing) return;
  drawing = true;
  // A page in the background gets no frames, but its title must show what is unread.
  (document.hidden ? (draw) => setTimeout(draw, 100) : requestAnimationFrame)(draw);
}

function draw() {
  drawing = false;
  const open = chats.byId.get(openId);
  if (open) {
    const atEnd = showChat(chats, open);
    if (atEnd && !document.hidden) chats.see(open);
    byId("latest").hidden = atEnd || !grew || open.unread(chats.me) === 0;
    grew &&= !atEnd;
  }
  showChats(chats, openId);
  saveChats(chats.me, [...chats.byId.values()].map(({ id, seen }) => ({ id, seen })));
}

function openChat(id) {
  openId = id;
  byId("pane").hidden = false;
  byId("empty").hidden = true;
  byId("app").classList.add("chatting");
  byId("log").replaceChildren();
  const chat = chats.get(id);
  showChat(chats, chat);
  toEnd();
  connection.enter(chat);
  changed({ chat });
  if (matchMedia("(hover: hover)").matches) byId("text").focus();
}

function leaveChat() {
  openId = "";
  if (connection) connection.open = "";
  byId("pane").hidden = true;
  byId("empty").hidden = false;
  byId("app").classList.remove("chatting");
}

function toEnd() {
  byId("scroll").scrollTop = byId("scroll").scrollHeight;
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
  showChats(chats, openId);
});
byId("older").addEventListener("click", async () => {
  byId("older").disabled = true;
  try {
    await connection.older(chats.get(openId));
  } catch (error) {
    showProblem(error.message);
  }
  byId("older").disabled = false;
});
byId("latest").addEventListener("click", () => { toEnd(); changed({}); });
byId("scroll").addEventListener("scroll", () => {
  const open = chats?.byId.get(openId);
  if (open && open.unread(chats.me) > 0) changed({ chat: open });
});
byId("log").addEventListener("click", (e) => {
  const tempId = e.target.dataset.discard;
  if (!tempId) return;
  const open = chats.get(openId);
  open.outbox = open.outbox.filter((item) => item.tempId !== tempId);
  chats.changed(open);
});
byId("composer").addEventListener("submit", (e) => {
  e.preventDefault();
  const text = byId("text").value.trim();
  if (!text) return;
  byId("text").value = "";
  toEnd();
  connection.send(chats.get(openId), text);
});
byId("text").addEventListener("keydown", (e) => {
  if (e.key !== "Enter" || e.shiftKey || e.isComposing) return;
  e.preventDefault();
  byId("composer").requestSubmit();
});
document.addEventListener("visibilitychange", () => chats && changed({}));

const known = session.load();
if (known?.user) {
  logIn(known);
} else {
  byId("login").hidden = false;
  byId("login-user").focus();
}
