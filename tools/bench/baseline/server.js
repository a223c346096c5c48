// A stock Socket.IO chat server in one Node process: rooms in memory, nothing
// stored, nothing shared with a second process. It speaks the events that the
// load tool drives, with payloads of the same shape and size as the mesh's.
"use strict";
const { createServer } = require("node:http");
const { randomBytes } = require("node:crypto");
const { Server } = require("socket.io");
const jwt = require("jsonwebtoken");

const { PORT, ADMIN_PORT, JWT_SECRET, ADMIN_TOKEN } = process.env;
const chatsOf = new Map(); // user -> chat ids
const seqs = new Map(); // chat -> last seq

const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false });

io.use((socket, next) => {
  jwt.verify(socket.handshake.auth.token, JWT_SECRET, { algorithms: ["HS256"] }, (err, claims) => {
    if (err || claims.type !== "access") return next(new Error("Invalid token"));
    socket.data.user = claims.userId;
    socket.data.sender = { id: claims.userId, username: claims.name };
    next();
  });
});

io.on("connection", (socket) => {
  socket.join([...(chatsOf.get(socket.data.user) ?? [])]);
  socket.emit("connected", { userId: socket.data.user, socketId: socket.id });
  socket.on("message:new", (event, ack) => {
    const seq = (seqs.get(event.chatId) ?? -1) + 1;
    if (seq === 0 || !socket.rooms.has(event.chatId)) {
      return ack({ success: false, error: "Not found", message: "chat not found", code: "CHAT_NOT_FOUND", retryable: false });
    }
    seqs.set(event.chatId, seq);
    const message = {
      id: "msg_" + randomBytes(13).toString("hex").toUpperCase(),
      chatId: event.chatId,
      senderId: socket.data.user,
      encryptedContent: event.encryptedContent,
      messageType: event.messageType ?? "text",
      createdAt: new Date().toISOString(),
      status: "sent",
      seq,
    };
    socket.to(event.chatId).emit("message:new", { message, sender: socket.data.sender });
    ack({ success: true, message: { ...message, tempId: event.tempId }, sender: socket.data.sender });
  });
});

const admin = createServer(async (req, res) => {
  const chat = /^\/v1\/chats\/([\w-]+)$/.exec(req.url)?.[1];
  if (req.method !== "PUT" || !chat || req.headers.authorization !== `Bearer ${ADMIN_TOKEN}`) {
    return res.writeHead(404).end();
  }
  let body = "";
  for await (const part of req) body += part;
  seqs.set(chat, seqs.get(chat) ?? 0);
  for (const { userId } of JSON.parse(body).members ?? []) {
    chatsOf.set(userId, (chatsOf.get(userId) ?? new Set()).add(chat));
  }
  res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ success: true, chatId: chat }));
});

http.listen(Number(PORT), "127.0.0.1", 4096);
admin.listen(Number(ADMIN_PORT), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
