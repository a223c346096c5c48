// Sending. A message keeps its tempId until it is acked and is sent again after
// a reconnect, so that it is stored once whatever breaks in between.

import { randomId } from "./storage.js";

/** Puts a message in the chat's outbox and sends it until the server has it. */
export function send(connection, chat, { text, replyTo, ttlSec }) {
  const item = { tempId: randomId(), text, replyTo, ttlSec, at: new Date(), fault: "", note: "", sending: false };
  chat.outbox.push(item);
  connection.chats.changed(chat, true);
  if (connection.ready) transmit(connection, chat, item);
}

/** What was not acked before the connection broke. */
export function sendAgain(connection) {
  for (const chat of connection.chats.byId.values()) {
    for (const item of chat.outbox) if (!item.sending && !item.fault) transmit(connection, chat, item);
  }
}

async function transmit(connection, chat, item) {
  const { chats } = connection;
  item.sending = true;
  item.note = "";
  try {
    const ack = await connection.request("message:new", {
      chatId: chat.id, encryptedContent: item.text, messageType: "text", tempId: item.tempId, replyToId: item.replyTo, ttlSec: item.ttlSec,
    });
    chat.outbox = chat.outbox.filter((other) => other !== item);
    chats.add({ message: ack.message, sender: ack.sender });
    chats.changed(chat);
    // Where everything before it is here too, one's own message needs no second delivery.
    const { seq } = ack.message;
    if (chat.haveSeq >= seq) connection.receipts.delivered(chat.id, seq);
    return;
  } catch (error) {
    item.sending = false;
    if (!error.code) {
      // No answer: the outcome is unknown, and the same tempId is safe.
      if (connection.ready) transmit(connection, chat, item);
    } else if (error.retryable) {
      item.note = error.code === "RATE_LIMIT_EXCEEDED" ? "waiting: too many messages" : "waiting for the server…";
      setTimeout(() => connection.ready && !item.sending && chat.outbox.includes(item) && transmit(connection, chat, item), error.retryAfterMs ?? 2_000);
    } else {
      item.fault = error.code === "MESSAGE_NOT_FOUND" ? "The message it replies to is gone." : error.message;
    }
  }
  chats.changed(chat);
}
