/* Follow log lines from an event stream, bounded, and still when people look back. */

const LIMIT = 2000;
const COLOURS = 8;

function shown(at) {
  const time = /T(\d\d:\d\d:\d\d(?:\.\d{1,3})?)/.exec(at ?? "");
  return time ? time[1] : (at ?? "");
}

class Logs {
  constructor(box) {
    this.box = box;
    this.scroller = box.querySelector(".logs-lines");
    this.lines = this.scroller.querySelector("ol");
    this.state = box.querySelector("[data-state]");
    this.pauseButton = box.querySelector("[data-pause]");
    this.newestButton = box.querySelector("[data-newest]");
    this.waiting = [];
    this.tasks = new Map();
    this.paused = false;
    this.drawing = false;
    for (const line of this.lines.children) this.colour(line, line.querySelector("b")?.textContent);
    this.toEnd();
    this.pauseButton.addEventListener("click", () => this.pause(!this.paused));
    this.newestButton.addEventListener("click", () => this.toEnd());
    this.scroller.addEventListener("scroll", () => this.drawButtons(), { passive: true });
    this.follow();
  }

  follow() {
    this.say("Connecting…");
    const source = new EventSource(this.box.dataset.streamUrl);
    this.source = source;
    this.pauseButton.hidden = false;
    source.addEventListener("open", () => this.say("Following live"));
    source.addEventListener("message", (event) => this.receive(JSON.parse(event.data)));
    source.addEventListener("ended", (event) => this.end(event.data));
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) this.end("The stream could not be opened");
      else this.say("Connection lost, trying again…");
    });
    window.addEventListener("pagehide", () => source.close());
  }

  receive(line) {
    this.waiting.push(line);
    // A paused viewer forgets the oldest lines, as a following one does.
    if (this.waiting.length > LIMIT) this.waiting.shift();
    this.plan();
  }

  plan() {
    if (this.drawing) return;
    this.drawing = true;
    setTimeout(() => {
      this.drawing = false;
      if (this.paused) this.drawButtons();
      else this.draw();
    }, 50);
  }

  draw() {
    const follows = this.isAtEnd();
    this.lines.append(...this.waiting.splice(0).map((line) => this.element(line)));
    for (let extra = this.lines.childElementCount - LIMIT; extra > 0; extra -= 1) {
      this.lines.firstElementChild.remove();
    }
    if (follows) this.toEnd();
    this.drawButtons();
  }

  element({ stream, at, task, text }) {
    const line = document.createElement("li");
    if (stream === "stderr") line.classList.add("log-stderr");
    if (at) {
      const time = document.createElement("time");
      time.dateTime = time.title = at;
      time.textContent = shown(at);
      line.append(time);
    }
    if (task) {
      const name = document.createElement("b");
      name.textContent = task;
      line.append(name);
    }
    line.append(text);
    this.colour(line, task);
    return line;
  }

  colour(line, task) {
    if (!task) return;
    if (!this.tasks.has(task)) this.tasks.set(task, this.tasks.size % COLOURS);
    line.classList.add(`task-${this.tasks.get(task)}`);
  }

  pause(paused) {
    this.paused = paused;
    if (!paused) this.draw();
    this.drawButtons();
  }

  end(reason) {
    this.source.close();
    this.paused = false;
    this.draw();
    this.pauseButton.hidden = true;
    this.say(reason ? `Ended: ${reason}` : "Ended");
  }

  isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < 24;
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  drawButtons() {
    const count = this.waiting.length;
    const resume = count ? `Resume (${count} new)` : "Resume";
    this.pauseButton.textContent = this.paused ? resume : "Pause";
    this.newestButton.hidden = this.isAtEnd();
  }

  say(words) {
    if (this.state.textContent !== words) this.state.textContent = words;
  }
}

for (const box of document.querySelectorAll("[data-stream-url]")) new Logs(box);
