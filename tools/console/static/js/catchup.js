// Reading what is not here: the newest page of a chat, older ones, and after a
// reconnect everything since.

import { summarize } from "./reactions.js";

const page = 50;
const inOnePull = 100; // chats a sync:pull may name, and chats a join-multiple

/** After each connect: what is pending goes out, what was missed comes in. */
export async function catchUp(connection, hello) {
  const { chats } = connection;
  const all = [...chats.byId.values()];
  // A session that goes on gets every edit it missed; a new one must look again.
  if (!hello.resumed) for (const chat of all) chat.loaded = false;
  const open = chats.byId.get(connection.open);
  if (open) await enter(connection, open);
  const others = all.filter((chat) => chat !== open);
  await watch(connection, others);
  for (const chat of others) {
    if (!connection.ready) return;
    if (!chat.loaded) await load(connection, chat).catch(() => {}); // not a member of it any more: shown when it is opened
  }
  await pull(connection, all.filter((chat) => chat.loaded));
}

/** A chat that was not in the list, of which a message came. */
export async function meet(connection, chat) {
  if (chat.meeting) return;
  chat.meeting = true;
  try {
    await watch(connection, [chat]);
    await load(connection, chat);
    await pull(connection, [chat]);
  } catch {
    // not a member of it any more: shown when it is opened
  }
  chat.meeting = false;
}

/** Opens a chat on this socket and brings it up to date. */
export async function enter(connection, chat) {
  connection.open = chat.id;
  if (!connection.ready) return;
  try {
    chat.stands(await connection.request("chat:join", { chatId: chat.id }));
    connection.chats.changed(chat);
    if (chat.loaded) await pull(connection, [chat]);
    else await load(connection, chat);
    await whoIsHere(connection, chat);
  } catch (error) {
    if (connection.ready) connection.problem(`${chat.id}: ${error.message}`);
  }
}

/** Who has the open chat open; from here on the server's events say it. */
async function whoIsHere(connection, chat) {
  const { activeMembers } = await connection.request("chat:get-active-members", { chatId: chat.id });
  chat.active = new Set(activeMembers);
  connection.chats.changed(chat);
}

/** Has the server tell who types in the chats of the list. */
async function watch(connection, all) {
  for (let i = 0; i < all.length && connection.ready; i += inOnePull) {
    const chatIds = all.slice(i, i + inOnePull).map((chat) => chat.id);
    await connection.request("chat:join-multiple", { chatIds }).catch((error) => connection.ready && connection.problem(error.message));
  }
}

/** The newest page, which is all that is known of the chat from then on. */
async function load(connection, chat) {
  const answer = await connection.request("message:history", { chatId: chat.id, limit: page });
  for (const [seq, { message }] of chat.messages) {
    if (seq > answer.lastSeq) continue; // came live since
    chat.messages.delete(seq);
    chat.seqs.delete(message.id);
  }
  chat.more = answer.hasMore && answer.messages.length > 0;
  took(connection, chat, answer);
  chat.loaded = true;
  chat.haveSeq = 0;
  have(connection, chat, answer.lastSeq);
}

/** The page before the oldest message here. */
export async function older(connection, chat) {
  const answer = await connection.request("message:history", { chatId: chat.id, beforeSeq: chat.oldest(), limit: page });
  chat.more = answer.hasMore && answer.messages.length > 0;
  took(connection, chat, answer);
}

/** Brings chats of which a page is here up to date, with unread counts and receipts. */
async function pull(connection, all) {
  let from = all.map((chat) => ({ chatId: chat.id, afterSeq: chat.haveSeq }));
  while (from.length > 0 && connection.ready) {
    const answer = await connection.request("sync:pull", { chats: from.slice(0, inOnePull) });
    from = from.slice(inOnePull);
    for (const synced of answer.chats) {
      const chat = connection.chats.get(synced.chatId);
      took(connection, chat, synced);
      chat.stands(synced);
      const upTo = synced.more ? (synced.messages.at(-1)?.message.seq ?? 0) : synced.lastSeq;
      if (synced.messages.length > 0) have(connection, chat, upTo);
      if (synced.more && upTo) from.push({ chatId: chat.id, afterSeq: upTo });
      connection.chats.changed(chat);
    }
  }
}

function took(connection, chat, answer) {
  chat.lastSeq = Math.max(chat.lastSeq, answer.lastSeq);
  connection.chats.addAll(chat, answer.messages);
  summarize(connection, chat, answer.messages.map(({ message }) => message)).catch((error) => connection.ready && connection.problem(error.message));
}

function have(connection, chat, seq) {
  chat.haveSeq = Math.max(chat.haveSeq, seq);
  if (seq) connection.receipts.delivered(chat.id, seq);
  connection.chats.changed(chat);
}
