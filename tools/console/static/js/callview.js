// What the page shows of calls: the question whether to take one, the one that
// goes on, and the history.

import { avatar, briefly, byId, el, reconcile } from "./dom.js";
import { callWords, pastWords, pathWords } from "./words.js";

let shown = "";
let fade;

/** Draws all of it. */
export function showCalls(calls, chats) {
  const { now: call } = calls;
  ask(call);
  const on = call && call.state !== "incoming";
  byId("call").hidden = !on && !calls.last;
  if (on) going(call);
  else if (calls.last) ended(calls);
  for (const id of ["call-audio", "call-video"]) byId(id).disabled = Boolean(call);
  showHistory(calls, chats);
}

function ask(call) {
  const dialog = byId("incoming");
  const rings = call?.state === "incoming";
  if (!rings) {
    if (dialog.open) dialog.close();
    return;
  }
  if (dialog.open && dialog.dataset.call === call.callId) return;
  dialog.dataset.call = call.callId;
  byId("incoming-who").replaceChildren(avatar(call.userId, call.name), el("span", { dir: "auto" }, call.name));
  byId("incoming-type").textContent = call.callType === "video" ? "Video call" : "Audio call";
  if (!dialog.open) dialog.showModal();
}

function going(call) {
  clearTimeout(fade);
  fade = undefined;
  const panel = byId("call");
  panel.dataset.type = call.callType;
  if (shown !== call.callId) {
    shown = call.callId;
    press("call-mute", false);
    press("call-camera", false);
  }
  byId("call-name").textContent = call.name;
  byId("call-controls").hidden = false;
  byId("call-camera").hidden = call.callType !== "video";
  play("call-remote", call.remote);
  play("call-local", call.local);
  const line = byId("call-state");
  const words = callWords(call);
  if (line.textContent !== words) line.textContent = words;
  line.dataset.state = call.state;
  byId("call-path").textContent = call.state === "connected" ? pathWords(call) : "";
  // The way the media take, for who looks closely.
  for (const part of ["local", "remote", "bytes"]) {
    if (call.path) line.dataset[part] = call.path[part];
    else delete line.dataset[part];
  }
}

/** How the call ended stays for a moment. */
function ended(calls) {
  byId("call-controls").hidden = true;
  play("call-remote", null);
  play("call-local", null);
  byId("call-path").textContent = "";
  byId("call-state").textContent = calls.last;
  byId("call-state").dataset.state = "over";
  fade ??= setTimeout(() => {
    calls.last = "";
    fade = undefined;
    byId("call").hidden = true;
  }, 5_000);
}

function play(id, stream) {
  if (byId(id).srcObject !== stream) byId(id).srcObject = stream;
}

function press(id, pressed) {
  byId(id).setAttribute("aria-pressed", String(pressed));
}

/** Mutes or unmutes, and shows it on the button. */
export function toggle(call, id, kind) {
  if (call) press(id, call.mute(kind));
}

function showHistory({ history, now }, chats) {
  const missed = history.filter(({ status, direction }) => status === "missed" && direction === "incoming").length;
  byId("history-count").textContent = missed ? `${missed} missed` : "";
  byId("history-none").hidden = history.length > 0;
  const items = history.map((past) => {
    const userId = past.direction === "incoming" ? past.callerId : past.targetUserIds[0];
    const row = { userId, name: chats.nameOf(userId), busy: Boolean(now), ...pastWords(past), when: briefly(new Date(past.createdAt)), type: past.callType };
    return { key: past.callId, version: JSON.stringify(row), row };
  });
  reconcile(byId("history"), items, ({ row }) =>
    el("li", { class: `past${row.missed ? " missed" : ""}` },
      el("span", { class: "title" }, row.name),
      el("span", { class: "when" }, row.when),
      el("span", { class: "last" }, row.words),
      el("button", { type: "button", class: "quiet", disabled: row.busy, "data-user": row.userId, "data-type": row.type, "aria-label": `Call ${row.name} again` }, "Call")));
}
