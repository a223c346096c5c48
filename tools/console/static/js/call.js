// One call with one other: the media, and what both sides tell each other to get
// it through. No page; what changes is dispatched as "change".

const patience = { caller: 2_000, callee: 5_000 }; // ms of silence before a new way is looked for: not by both at once
const watch = 1_000; // ms between two looks at the way the media take

/** States: calling, ringing, unreachable, incoming, connecting, connected, reconnecting, over. */
export class Call extends EventTarget {
  constructor(connection, { callId, userId, name, callType, outgoing, relay }) {
    super();
    Object.assign(this, { connection, callId, userId, name, callType, outgoing });
    this.policy = relay ? "relay" : "all";
    this.state = outgoing ? "calling" : "incoming";
    this.offer = null; // of who calls, until it is accepted
    this.iceServers = [];
    this.pc = null;
    this.local = null; // MediaStream of this side
    this.remote = new MediaStream();
    this.path = null; // {local, remote, bytes}: the types of the two ends that the media go between
    this.since = 0; // when it was answered, here
    this.quick = null; // call:answer, where it came before the ack of call:initiate
    this.early = []; // candidates of the other side from before there was a description
    this.waiting = []; // candidates of this side that the server has not had
    this.known = false; // the server knows that this device is in the call
    this.offering = false;
    this.lastIgnored = false; // the other's last offer lost against ours
  }

  set(state) {
    if (this.state === "over" || this.state === state) return;
    this.state = state;
    this.changed();
  }

  changed() {
    this.dispatchEvent(new CustomEvent("change"));
  }

  ask(event, data, timeout) {
    return this.connection.request(event, { callId: this.callId, ...data }, timeout);
  }

  /** Rings the other side. The offer goes first: with its ack come the servers that candidates are gathered with. */
  async ring(chatId) {
    await this.open();
    const offer = await this.pc.createOffer();
    if (this.state === "over") return;
    const ack = await this.ask("call:initiate", { targetUserId: this.userId, callType: this.callType, offer: { type: "offer", sdp: offer.sdp }, chatId });
    if (this.state === "over") return;
    this.use(ack.iceServers);
    this.set(ack.status === "unreachable" ? "unreachable" : "ringing");
    await this.pc.setLocalDescription(offer);
    this.joined();
    if (this.quick) await this.answered(this.quick);
  }

  /** Takes the call on this device. */
  async accept() {
    this.set("connecting");
    await this.open();
    this.use(this.iceServers);
    await this.pc.setRemoteDescription(this.offer);
    await this.takeEarly();
    await this.pc.setLocalDescription();
    await this.ask("call:answer", { answer: { type: "answer", sdp: this.pc.localDescription.sdp } });
    this.since = Date.now();
    this.joined();
  }

  /** call:answer: the other side has taken the call. It may come twice. */
  async answered(e) {
    if (!this.known) this.quick = e;
    if (this.state === "over" || this.pc?.signalingState !== "have-local-offer" || this.since) return;
    this.since = Date.now();
    this.set("connecting");
    await this.pc.setRemoteDescription(e.answer);
    await this.takeEarly();
  }

  /** The media and the connection for them. Without a microphone or camera one can still hear and see. */
  async open() {
    const video = this.callType === "video";
    try {
      this.local = await navigator.mediaDevices.getUserMedia({ audio: true, video });
    } catch (error) {
      this.connection.problem(`This side is neither heard nor seen: ${error.message}`);
    }
    if (this.state === "over") {
      this.quiet();
      throw new Error("The call is over.");
    }
    const pc = new RTCPeerConnection({ iceTransportPolicy: this.policy });
    this.pc = pc;
    for (const track of this.local?.getTracks() ?? []) pc.addTrack(track, this.local);
    if (!this.local && this.outgoing) {
      for (const kind of video ? ["audio", "video"] : ["audio"]) pc.addTransceiver(kind, { direction: "recvonly" });
    }
    pc.addEventListener("track", ({ track }) => {
      this.remote.addTrack(track);
      this.changed();
    });
    pc.addEventListener("icecandidate", ({ candidate }) => {
      this.waiting.push(candidate?.candidate ? candidate.toJSON() : null);
      this.pass();
    });
    pc.addEventListener("iceconnectionstatechange", () => this.moved());
    this.watching = setInterval(() => this.look(), watch);
    this.changed();
  }

  use(iceServers) {
    this.iceServers = iceServers;
    this.pc.setConfiguration({
      iceTransportPolicy: this.policy,
      iceServers: iceServers.map(({ urls, username, credential }) => ({ urls, username, credential })),
    });
  }

  /** From now on this device is in the call, and what it says is of use. */
  joined() {
    this.known = true;
    this.pass();
    this.changed();
  }

  /** Tells the candidates of this side in their order, each once the last has arrived. */
  async pass() {
    if (this.passing || !this.known) return;
    this.passing = true;
    while (this.waiting.length > 0 && this.state !== "over") {
      try {
        await this.ask("call:ice-candidate", { candidate: this.waiting[0] });
      } catch (error) {
        if (!error.code || error.retryable) break; // again when there is a connection, or another candidate
      }
      this.waiting.shift();
    }
    this.passing = false;
  }

  /** call:ice-candidate, or one that came with call:incoming. */
  async candidate(candidate) {
    if (!this.pc?.remoteDescription) {
      this.early.push(candidate);
      return;
    }
    try {
      await this.pc.addIceCandidate(candidate ?? undefined);
    } catch (error) {
      if (!this.lastIgnored && this.state !== "over") throw error; // those of an ignored offer mean nothing here
    }
  }

  async takeEarly() {
    for (const candidate of this.early.splice(0)) await this.candidate(candidate);
  }

  moved() {
    const ice = this.pc.iceConnectionState;
    if (ice === "connected" || ice === "completed") {
      clearTimeout(this.doubt);
      this.set("connected");
      this.look();
      return;
    }
    if (ice !== "failed" && ice !== "disconnected") return;
    if (this.since) this.set("reconnecting");
    clearTimeout(this.doubt);
    this.doubt = setTimeout(() => this.restart(), ice === "failed" ? 0 : patience[this.outgoing ? "caller" : "callee"]);
  }

  /** There is a connection to the server again: what was not told is, and a lost way is looked for anew. */
  resume() {
    this.pass();
    if (this.state === "reconnecting") this.restart();
  }

  /** ICE restart: new candidates with fresh credentials, in an offer within the call. */
  async restart() {
    if (this.state !== "reconnecting" || this.offering || !this.connection.ready) return;
    this.offering = true;
    clearTimeout(this.doubt);
    try {
      await this.renew();
      if (this.pc.signalingState !== "stable") return; // the other's offer was first
      this.pc.restartIce();
      await this.pc.setLocalDescription();
      await this.ask("call:renegotiate", { offer: { type: "offer", sdp: this.pc.localDescription.sdp } });
      // A way that the other side did not hear of is tried again.
      this.doubt = setTimeout(() => this.undo(), 10_000);
    } catch (error) {
      if (error.code === "CALL_ENDED" || error.code === "CALL_NOT_FOUND") this.end();
      else this.doubt = setTimeout(() => this.undo(), 2_000);
    } finally {
      this.offering = false;
    }
  }

  async renew() {
    this.use((await this.ask("call:ice-servers", {})).iceServers);
  }

  async undo() {
    if (this.state !== "reconnecting") return;
    if (this.pc.signalingState === "have-local-offer") await this.pc.setLocalDescription({ type: "rollback" });
    await this.restart();
  }

  /** call:renegotiate. If both offer at once, that of who called stands. */
  async renegotiated({ offer, answer }) {
    if (!this.pc || this.state === "over") return;
    if (answer) {
      if (this.pc.signalingState !== "have-local-offer") return;
      await this.pc.setRemoteDescription(answer);
    } else {
      this.lastIgnored = this.outgoing && (this.offering || this.pc.signalingState !== "stable");
      if (this.lastIgnored) return;
      await this.pc.setRemoteDescription(offer); // takes our own offer back, if there is one
      await this.renew();
      await this.pc.setLocalDescription();
      await this.ask("call:renegotiate", { answer: { type: "answer", sdp: this.pc.localDescription.sdp } });
    }
    await this.takeEarly();
  }

  /** Which way the media go. */
  async look() {
    if (this.state !== "connected") return;
    const stats = await this.pc.getStats();
    if (this.state !== "connected") return;
    for (const { type, selectedCandidatePairId } of stats.values()) {
      const pair = type === "transport" && stats.get(selectedCandidatePairId);
      if (!pair) continue;
      this.path = {
        local: stats.get(pair.localCandidateId)?.candidateType,
        remote: stats.get(pair.remoteCandidateId)?.candidateType,
        bytes: pair.bytesReceived,
      };
    }
    this.changed();
  }

  /** Turns the microphone or the camera off or on; gives whether it is off now. */
  mute(kind) {
    const tracks = this.local?.getTracks().filter((track) => track.kind === kind) ?? [];
    for (const track of tracks) track.enabled = !track.enabled;
    return tracks.length === 0 || !tracks[0].enabled;
  }

  quiet() {
    for (const track of this.local?.getTracks() ?? []) track.stop();
  }

  /** Ends the media here; telling the server is of who ends the call. */
  end() {
    if (this.state === "over") return;
    clearInterval(this.watching);
    clearTimeout(this.doubt);
    this.pc?.close();
    this.quiet();
    this.set("over");
  }
}
