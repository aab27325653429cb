/* A terminal in a container, over a WebSocket. */

import { FitAddon } from "../vendor/xterm/addon-fit.mjs";
import { Terminal } from "../vendor/xterm/xterm.mjs";
import { keepStylesStrict } from "./strict_styles.js";

const encoder = new TextEncoder();

function colours() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    background: colour("--console-ground"),
    foreground: colour("--console-text"),
    cursor: colour("--task-0"),
    selectionBackground: "#35505c",
    red: colour("--console-error"),
    green: colour("--task-2"),
    yellow: colour("--task-3"),
    blue: colour("--task-5"),
    magenta: colour("--task-4"),
    cyan: colour("--task-0"),
  };
}

class Session {
  constructor(box) {
    this.box = box;
    this.state = box.querySelector("[data-state]");
    this.againButton = box.querySelector("[data-again]");
    this.readerButton = box.querySelector("[data-reader]");
    this.terminal = new Terminal({
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--font-mono"),
      fontSize: 14,
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      scrollback: 5000,
      theme: colours(),
    });
    this.fit = new FitAddon();
    this.terminal.loadAddon(this.fit);
    this.terminal.open(box.querySelector("[data-screen]"));
    this.listen();
    this.connect();
  }

  listen() {
    const { terminal } = this;
    // Tab belongs to the shell, so leaving by keyboard needs a way of its own.
    terminal.attachCustomKeyEventHandler((event) => {
      if (event.type !== "keydown" || event.key !== "F6" || !event.ctrlKey) return true;
      event.preventDefault();
      (this.againButton.hidden ? this.readerButton : this.againButton).focus();
      return false;
    });
    terminal.onData((text) => this.send(encoder.encode(text)));
    terminal.onBinary((text) => this.send(Uint8Array.from(text, (part) => part.charCodeAt(0))));
    terminal.onResize(({ rows, cols }) => this.send(JSON.stringify({ resize: [rows, cols] })));
    new ResizeObserver(() => this.fit.fit()).observe(this.box.querySelector("[data-screen]"));
    this.againButton.addEventListener("click", () => this.connect());
    this.readerButton.addEventListener("click", () => {
      const on = !terminal.options.screenReaderMode;
      terminal.options.screenReaderMode = on;
      this.readerButton.setAttribute("aria-pressed", String(on));
      terminal.focus();
    });
  }

  connect() {
    const address = new URL(this.box.dataset.socketUrl, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.ending = "";
    this.terminal.reset();
    this.againButton.hidden = true;
    this.say("Connecting…");
    socket.addEventListener("open", () => {
      this.say("Connected. Ctrl+F6 leaves the terminal.");
      this.fit.fit();
      const { rows, cols } = this.terminal;
      this.send(JSON.stringify({ resize: [rows, cols] }));
      this.terminal.focus();
    });
    socket.addEventListener("message", ({ data }) => this.receive(data));
    socket.addEventListener("close", () => this.close());
  }

  receive(data) {
    if (typeof data !== "string") {
      this.terminal.write(new Uint8Array(data));
      return;
    }
    const told = JSON.parse(data);
    if ("error" in told) this.ending = told.error;
    if ("exit" in told) this.ending = `The command ended with code ${told.exit}.`;
  }

  close() {
    this.say(this.ending || "The connection has ended.");
    const inside = this.box.querySelector("[data-screen]").contains(document.activeElement);
    this.againButton.hidden = false;
    if (inside) this.againButton.focus();
  }

  send(data) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(data);
  }

  say(words) {
    this.state.textContent = words;
  }
}

keepStylesStrict();
for (const box of document.querySelectorAll("[data-socket-url]")) new Session(box);
