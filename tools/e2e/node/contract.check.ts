// Compiled, never run: an application against the generated declarations and
// the types of socket.io-client. A @ts-expect-error line must be an error.
import { io, Socket } from "socket.io-client";
import type {
  Auth, ClientEvents, Code, Failure, FinalCloseCode, NewMessage, PlainAuth, PlainFrame, PlainPing, PlainRequest,
  ReconnectCloseCode, Refusal, Reply, RetryableCode, SendMessageAck, ServerEvents, Timestamp,
} from "../../../proto/schema/client";

const auth: Auth = { token: "t", deviceId: "phone" };
const socket: Socket<ServerEvents, ClientEvents> = io("http://localhost:3001", { auth, retries: 3, ackTimeout: 15000 });

export async function send(chatId: string): Promise<string> {
  const reply = await socket.timeout(15000).emitWithAck("message:new", {
    chatId, encryptedContent: "b3BhcXVl", messageType: "text", metadata: { width: 640 }, tempId: "t1",
  });
  if (reply.success) {
    const at: Timestamp = reply.message.createdAt;
    return `${reply.message.id} ${reply.message.seq} ${at} ${reply.duplicate ?? false}`;
  }
  const code: Code = reply.code;
  return reply.retryable ? `${reply.retryAfterMs ?? 0}` : `${code} ${reply.field ?? ""} ${reply.error}`;
}

export function listen(shown: (m: NewMessage) => void): void {
  socket.on("connected", (c, offset) => console.log(c.userId, c.resync, c.limits["message:new"].windowMs, offset.length));
  socket.on("message:new", (m, offset) => {
    shown(m);
    socket.emit("message:delivered", { chatId: m.message.chatId, upToSeq: m.message.seq }, (reply) => {
      if (reply.success) console.log(reply.upToSeq, offset);
    });
  });
  socket.on("chat:updated", (c) => console.log(c.updateType === "members" ? c.changes.added?.[0].role : c.changes.name));
  socket.on("chat:member-left", (m) => console.log(m.kind === "membership", m.reason === "banned"));
  socket.on("error", (e) => console.log(e.code === "RATE_LIMIT_EXCEEDED", e.retryAfterMs));
  socket.on("connect_error", (e) => {
    const refusal = (e as Error & { data?: Refusal }).data;
    console.log(refusal?.retryable);
  });
  socket.emit("message:history", { chatId: "c", beforeSeq: 10 }, (reply: Reply<{ success: true; messages: NewMessage[] }>) => {
    if (reply.success) reply.messages.forEach(shown);
  });
}

export function mistakes(failure: Failure, ack: SendMessageAck): void {
  // @ts-expect-error no such event
  socket.emit("message:nwe", { chatId: "c", encryptedContent: "x" }, () => {});
  // @ts-expect-error a required field is missing
  socket.emit("message:new", { chatId: "c" }, () => {});
  // @ts-expect-error not one of the types
  socket.emit("message:new", { chatId: "c", encryptedContent: "x", messageType: "sticker" }, () => {});
  // @ts-expect-error a server event only
  socket.emit("connected", {}, () => {});
  // @ts-expect-error a client event only
  socket.on("message:history", () => {});
  // @ts-expect-error not durable, so without an offset
  socket.on("error", (_e, offset: string) => offset);
  // @ts-expect-error a failure has no message object
  console.log(failure.message.id);
  // @ts-expect-error a success is no failure
  console.log(ack.code);
}

export function plain(ws: WebSocket, final: FinalCloseCode[], again: ReconnectCloseCode[], later: RetryableCode[]): void {
  const first: PlainAuth = { event: "auth", data: { token: "t" }, ack: 1 };
  const ping: PlainPing = { event: "ping" };
  const request: PlainRequest = { event: "chat:join", data: { chatId: "c" }, ack: 2 };
  for (const frame of [first, ping, request]) ws.send(JSON.stringify(frame));
  ws.onmessage = (e) => {
    const frame = JSON.parse(e.data) as PlainFrame;
    if ("ack" in frame) console.log(frame.ack, frame.data.success);
    else if (frame.event === "message:new") console.log(frame.data.message.seq, frame.offset);
  };
  ws.onclose = (e) => console.log(final.some((c) => c === e.code), again.some((c) => c === e.code), later.length);
}
