// What is said of messages and people, in the list, in quotes and in bubbles.

import { span } from "./dom.js";

/** Why a message that is gone is gone. */
export function goneWords({ message, deletion }, me) {
  const expired = deletion ? deletion.reason === "expired" : message.expiresAt && message.deletedAt >= message.expiresAt;
  if (expired) return "This message has disappeared";
  if (deletion?.reason === "moderated") return "Deleted by a moderator";
  return message.senderId === me ? "You deleted this message" : "This message was deleted";
}

/** A message in one line. */
export const inBrief = (entry, me) => (entry.message.deletedAt ? goneWords(entry, me) : entry.message.encryptedContent);

/** Who is typing in a chat, "" if nobody is. */
export function typingWords(chats, chat) {
  const names = [...new Set(chat.typing.values())].map((user) => chats.nameOf(user));
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is typing…`;
  return names.length === 2 ? `${names[0]} and ${names[1]} are typing…` : `${names.length} people are typing…`;
}

/** How somebody is there, "" while nobody knows. */
export function presenceWords(presence, now = Date.now()) {
  if (!presence) return "";
  const { status, lastSeen, customStatus } = presence;
  const words = status === "offline" && lastSeen ? lastSeenWords(now - lastSeen) : status;
  return customStatus ? `${words} · ${customStatus}` : words;
}

const lastSeenWords = (ms) => (ms < 60_000 ? "last seen just now" : `last seen ${span(ms)} ago`);

/** How far one's own message got: marks for the eye, words for the ear. */
export function receiptWords({ state, others, read, delivered }) {
  const marks = state === "sent" ? "✓" : "✓✓";
  if (!(others > 1)) return { state, marks, words: state };
  const words = state === "read" ? `read by ${read.length} of ${others}` : state === "delivered" ? `delivered to ${delivered.length} of ${others}` : "sent";
  return { state, marks: read.length ? `${marks} ${read.length}` : marks, words };
}

/** How a call goes on. */
export function callWords({ state }) {
  return {
    calling: "Calling…",
    ringing: "Ringing…",
    unreachable: "Not there at the moment. It rings when they are…",
    connecting: "Connecting…",
    connected: "Connected",
    reconnecting: "The connection is bad. Looking for another…",
  }[state];
}

/** How long a call is, and which way its media take. */
export function pathWords({ since, path }, now = Date.now()) {
  const relayed = path?.local === "relay" || path?.remote === "relay";
  return [since && lengthWords(now - since), path && (relayed ? "relayed" : "direct")].filter(Boolean).join(" · ");
}

/** How a call ended; reason is that of call:end, or rejected. */
export function endWords(reason, name, outgoing) {
  return {
    rejected: `${name} declined`,
    cancelled: `${name} hung up`,
    no_answer: outgoing ? "No answer" : `You missed a call of ${name}`,
    busy: `${name} is in another call`,
    failed: "The call failed",
    disconnected: "The connection was lost",
    answered_elsewhere: "Answered on another device",
    rejected_elsewhere: "Declined on another device",
  }[reason] ?? "The call is over.";
}

/** A call of the history: in words, and whether the user missed it. */
export function pastWords({ direction, status, reason, durationMs, callType }) {
  const incoming = direction === "incoming";
  const kind = `${callType === "video" ? "Video" : "Audio"} call`;
  const missed = incoming && status === "missed";
  const how = {
    ringing: "rings",
    answered: "goes on",
    ended: durationMs ? lengthWords(durationMs) : "answered",
    rejected: "declined",
    missed: reason === "cancelled" && !incoming ? "cancelled" : "no answer",
  }[status];
  return { missed, words: missed ? `Missed ${kind.toLowerCase()}` : `${incoming ? "↙" : "↗"} ${kind} · ${how}` };
}

/** What a notification is about. */
export const notificationWords = (type) => ({
  mention: "Mention",
  reply: "Reply",
  call_missed: "Missed call",
  call_incoming: "Incoming call",
  chat_invite: "New chat",
  chat_updated: "Chat changed",
  message_reaction: "Reaction",
  system: "System",
}[type] ?? type);

/** 75,000 ms are 1:15. */
const lengthWords = (ms) => `${Math.floor(ms / 60_000)}:${String(Math.floor(ms / 1_000) % 60).padStart(2, "0")}`;

/** Why the server refused, where its own words are those for a developer. */
export function refusalWords({ code, message }) {
  return {
    MESSAGE_NOT_FOUND: "The message is not there any more.",
    CHAT_NOT_FOUND: "There is no such chat, or you are not a member of it.",
    RATE_LIMIT_EXCEEDED: "That was too much at once. Try again in a moment.",
    PAYLOAD_TOO_LARGE: "The message is too long.",
    CALL_BUSY: "They are in another call.",
    CALL_GLARE: "They are calling you.",
    CALL_ALREADY_ANSWERED: "Answered on another device.",
    CALL_ENDED: "The call is over.",
    CALL_NOT_FOUND: "There is no such call.",
  }[code] ?? message;
}
