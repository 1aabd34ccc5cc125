// The link to the hub: a WebSocket that the hub beats on, and a re-reading over REST after every gap.

const SILENCE_MS = 4000; // the hub beats every 1.5 s: two beats missed, and a little
const RETRY_MS = [250, 500, 1000, 2000, 3000];
const LOG_IN = 4401;

/** Ask the hub over REST; a session that has ended leads to the log-in page. */
export async function ask(path, options = {}) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(8000), ...options });
  if (answer.status === 401) location.assign("/login");
  return answer;
}

export class Link {
  /**
   * @param {{message: (m: object) => void, reread: () => Promise<void>, state: (s: string) => void}} page
   *   `message` gets what the hub tells; `reread` is awaited after every gap; `state` gets connecting, live or lost.
   */
  constructor(page) {
    this.page = page;
    this.attempt = 0;
    setInterval(() => this.#checkSilence(), 500);
    addEventListener("online", () => this.#retryNow());
    this.#connect();
  }

  #connect() {
    clearTimeout(this.retry);
    this.number = 0;
    this.heardAt = performance.now();
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/api/v1/live`);
    this.socket = socket;
    socket.onmessage = ({ data }) => this.socket === socket && this.#hear(JSON.parse(data));
    socket.onclose = ({ code }) => this.socket === socket && this.#lose(code);
  }

  #hear(message) {
    this.heardAt = performance.now();
    const isGap = message.n !== this.number + 1 || message.kind === "reread";
    this.number = message.n;
    if (message.kind === "hello" || isGap) this.#catchUp(this.socket);
    this.page.message(message);
  }

  // Told rows and re-read rows may overlap: rows are keyed by their id, so the order of the two does not matter.
  async #catchUp(socket) {
    try {
      await this.page.reread();
    } catch {
      if (this.socket === socket) this.#lose();
      return;
    }
    if (this.socket !== socket) return;
    this.attempt = 0;
    this.page.state("live");
  }

  #lose(code) {
    this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
    this.page.state("lost");
    if (code === LOG_IN) {
      location.assign("/login");
      return;
    }
    const pause = RETRY_MS[Math.min(this.attempt++, RETRY_MS.length - 1)];
    this.retry = setTimeout(() => this.#try(), pause * (0.75 + Math.random() / 2));
  }

  // A refused hand-shake does not tell why: asking over REST first notices a session that has ended.
  async #try() {
    try {
      await ask("/api/v1/gateways");
    } catch {
      // The hub does not answer: the socket's failure below plans the next try.
    }
    if (this.socket === null) this.#connect();
  }

  #retryNow() {
    if (this.socket === null) {
      clearTimeout(this.retry);
      this.#try();
    }
  }

  #checkSilence() {
    if (this.socket !== null && performance.now() - this.heardAt > SILENCE_MS) this.#lose();
  }
}
