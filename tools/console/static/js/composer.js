// The composer: a draft for each chat, replying, editing, and for how long a
// message is to stay.

import { byId, el } from "./dom.js";
import { inBrief } from "./words.js";

const text = byId("text");

export class Composer {
  /** typed(text) and stopped() tell of typing; send({text, replyTo, ttlSec}) and save(message, text) do it. */
  constructor({ typed, stopped, send, save }) {
    Object.assign(this, { typed, stopped, send, save });
    this.chats = null;
    this.chat = null;
    byId("composer").addEventListener("submit", (e) => {
      e.preventDefault();
      this.submit();
    });
    text.addEventListener("input", () => this.typed(text.value));
    text.addEventListener("keydown", (e) => this.key(e));
    byId("context-cancel").addEventListener("click", () => this.cancel());
    byId("ttl").addEventListener("change", () => { this.chat.draft.ttlSec = Number(byId("ttl").value); });
  }

  /** Shows the draft of another chat; null for none. */
  show(chats, chat) {
    if (this.chat) this.chat.draft.text = text.value;
    this.stopped();
    this.chats = chats;
    this.chat = chat;
    if (!chat) return;
    text.value = chat.draft.text;
    byId("ttl").value = chat.draft.ttlSec || "";
    this.context();
  }

  /** What is replied to or edited, above the text. */
  context() {
    const { editing, replyTo } = this.chat.draft;
    const entry = editing ? this.chat.messages.get(editing) : this.chat.byMessageId(replyTo);
    byId("context").hidden = !entry;
    byId("ttl-part").hidden = Boolean(editing);
    byId("send").textContent = editing ? "Save" : "Send";
    if (!entry) return;
    const of = entry.message.senderId === this.chats.me ? "yourself" : entry.sender?.username || entry.message.senderId;
    byId("context-text").replaceChildren(
      el("b", {}, editing ? "Editing" : `Reply to ${of}`),
      el("span", { dir: "auto" }, inBrief(entry, this.chats.me).slice(0, 200)));
  }

  reply(entry) {
    this.leave();
    this.chat.draft.replyTo = entry.message.id;
    this.context();
    text.focus();
  }

  edit(entry) {
    const { draft } = this.chat;
    if (!draft.editing) draft.kept = text.value;
    Object.assign(draft, { editing: entry.message.seq, replyTo: "" });
    text.value = entry.message.encryptedContent;
    this.context();
    text.focus();
    text.setSelectionRange(text.value.length, text.value.length);
  }

  /** Ends editing: what was being written before stands there again. */
  leave() {
    const { draft } = this.chat;
    if (!draft.editing) return;
    draft.editing = 0;
    text.value = draft.kept ?? "";
    draft.kept = "";
  }

  cancel() {
    this.leave();
    this.chat.draft.replyTo = "";
    this.context();
    this.typed(text.value);
    text.focus();
  }

  key(e) {
    if (e.isComposing) return;
    const { draft } = this.chat;
    if (e.key === "Escape" && (draft.editing || draft.replyTo)) {
      e.preventDefault();
      this.cancel();
    } else if (e.key === "ArrowUp" && !text.value && !draft.editing) {
      const last = this.chat.ordered().findLast(({ message }) => message.senderId === this.chats.me && !message.deletedAt);
      if (!last) return;
      e.preventDefault();
      this.edit(last);
    } else if (e.key === "Enter" && !e.shiftKey) {
      e.preventDefault();
      byId("composer").requestSubmit();
    }
  }

  async submit() {
    const words = text.value.trim();
    if (!words) return;
    const { chat } = this;
    const { draft } = chat;
    if (!draft.editing) {
      const { replyTo, ttlSec } = draft;
      text.value = "";
      draft.replyTo = "";
      this.context();
      this.send({ text: words, replyTo: replyTo || undefined, ttlSec: ttlSec || undefined });
      return;
    }
    const { editing } = draft;
    const entry = chat.messages.get(editing);
    this.stopped();
    byId("send").disabled = true;
    const done = !entry || (await this.save(entry.message, words)); // without one: hidden meanwhile
    byId("send").disabled = false;
    if (!done || draft.editing !== editing) return;
    if (this.chat === chat) {
      this.leave();
      this.context();
    } else {
      Object.assign(draft, { editing: 0, text: draft.kept ?? "", kept: "" });
    }
  }
}
