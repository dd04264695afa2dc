// Shows a trace: the moment that is chosen, and nothing else of it, is in the document. Text of the
// trace becomes text, never markup.

/** So many columns of the logs are shown. */
const COLUMNS = 28;
/** So many lines are shown on either side of the current one. */
const LINES_AROUND = 9;
/** Simulated microseconds a second. */
const SPEEDS = [500, 2000, 10000, 50000, 200000, 1000000, 5000000];
const HUES = { election: 290, log: 210, heartbeat: 140, snapshot: 28, proposal: 340, read: 180 };
const KINDS = {
  "pre-vote": "election", "pre-voted": "election", "vote": "election", "voted": "election",
  "timeout-now": "election", "append": "log", "appended": "log", "rejected": "log",
  "committed": "log", "heartbeat": "heartbeat", "heartbeat-ack": "heartbeat",
  "snapshot": "snapshot", "received": "snapshot", "propose": "proposal", "proposed": "proposal",
  "read": "read", "read-at": "read",
};
const CLASS_HUES = { link: 210, process: 0, disk: 28, clock: 280, operator: 140 };

const byId = (id) => document.getElementById(id);
const seconds = (t) => (t / 1e6).toFixed(6);

/** Where islands and members stand in the picture. */
function layout(members) {
  const islands = new Map();
  for (const { node, island } of members) {
    islands.set(island, [...(islands.get(island) ?? []), node]);
  }
  const count = islands.size;
  const hull = count === 1 ? 285 : Math.min(120, 200 * Math.sin(Math.PI / count));
  const most = Math.max(...[...islands.values()].map((nodes) => nodes.length));
  const share = Math.sin(Math.PI / Math.max(2, most));
  const room = most === 1 ? hull - 18 : 0.75 * hull * share / (1 + share);
  const node = Math.max(6, Math.min(26, room));
  const around = (x, y, rx, ry, nth, all) => {
    const angle = 2 * Math.PI * nth / all - Math.PI / 2;
    return { x: x + rx * Math.cos(angle), y: y + ry * Math.sin(angle) };
  };
  const places = { node, hull, islands: [], members: new Map() };
  [...islands.keys()].sort((a, b) => a - b).forEach((island, nth) => {
    const [rx, ry] = count === 1 ? [0, 0] : [480 - hull, 295 - hull];
    const centre = around(500, 310, rx, ry, nth, count);
    const nodes = islands.get(island);
    const ring = nodes.length === 1 ? 0 : hull - node - 22;
    places.islands.push({ island, ...centre });
    nodes.forEach((one, at) => {
      places.members.set(one, around(centre.x, centre.y, ring, ring, at, nodes.length));
    });
  });
  return places;
}

/** Islands, links, members, and messages on their way. */
class Picture {
  constructor(index) {
    this.svg = byId("map");
    this.index = index;
    this.places = layout(index.head.members);
    this.island = new Map(index.head.members.map((member) => [member.node, member.island]));
    this.links = index.head.links.map(([a, b]) => {
      const [from, to] = [this.places.members.get(a), this.places.members.get(b)];
      const ends = { class: "link", x1: from.x, y1: from.y, x2: to.x, y2: to.y };
      return { a, b, shape: this.put(this.svg, "line", ends) };
    });
    const hulls = this.places.islands.map(({ island, x, y }) => {
      const hull = this.put(this.svg, "g", {});
      this.put(hull, "circle", { class: "island", cx: x, cy: y, r: this.places.hull });
      const label = this.put(hull, "text", { x, y: y + this.places.hull - 6 });
      label.textContent = this.places.hull > 30 ? `island ${island}` : "";
      return hull;
    });
    this.svg.prepend(...hulls);
    this.members = new Map();
    this.places.members.forEach((at, node) => this.members.set(node, this.member(node, at)));
    this.flying = this.put(this.svg, "g", {});
    byId("legend").replaceChildren(...Object.entries(HUES).map(([name, hue]) => {
      const [entry, dot] = [document.createElement("span"), document.createElement("span")];
      dot.className = "dot";
      dot.style.setProperty("--hue", hue);
      entry.append(dot, ` ${name}`);
      return entry;
    }));
  }

  put(parent, name, attributes) {
    const shape = document.createElementNS(this.svg.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
    parent.append(shape);
    return shape;
  }

  member(node, { x, y }) {
    const shape = this.put(this.svg, "g", { class: "member", id: `member-${node}` });
    const title = this.put(shape, "title", {});
    this.put(shape, "circle", { cx: x, cy: y, r: this.places.node });
    this.put(shape, "text", { x, y: y + 4 }).textContent = node;
    const below = this.put(shape, "text", { x, y: y + this.places.node + 13 });
    return { shape, title, below };
  }

  draw(moment, t, at, speed) {
    for (const [node, { shape, title, below }] of this.members) {
      const now = moment.members.get(node);
      const up = now?.e === "member";
      shape.setAttribute("class", `member ${up ? now.role : "down"}`);
      title.textContent = now ? words(now) : `${node} was never started`;
      below.textContent = this.places.node < 12 ? "" : up ? `term ${now.term}` : "down";
    }
    for (const { a, b, shape } of this.links) {
      const faulty = [...moment.faults.values()].some((fault) => this.hurts(fault, a, b));
      shape.setAttribute("class", faulty ? "link faulty" : "link");
    }
    this.flying.replaceChildren();
    for (const line of moment.flights.values()) this.message(line, t);
    const shown = Math.max(2000, speed / 3);
    for (let nth = this.index.lost.length - 1; nth >= 0; nth -= 1) {
      const place = this.index.lost[nth];
      if (place > at) continue;
      if (this.index.lines[place].t < t - shown) break;
      this.loss(this.index.lines[place]);
    }
  }

  /** Whether a fault that is on has to do with a link. */
  hurts({ what, with: keys }, a, b) {
    const ends = [keys.from ?? keys.a, keys.to ?? keys.b];
    if (ends.includes(a) && ends.includes(b)) return true;
    if (what === "isolate") return keys.member === a || keys.member === b;
    if (what !== "island-off") return false;
    return (this.island.get(a) === keys.island) !== (this.island.get(b) === keys.island);
  }

  /** A place between members: `part` of the way, right of the middle, so that the two directions
      of a link are seen apart. */
  between(stops, part) {
    const places = stops.map((node) => this.places.members.get(node));
    const along = Math.min(part, 0.999999) * (places.length - 1);
    const leg = Math.floor(along);
    const [from, to] = [places[leg], places[leg + 1]];
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const length = Math.hypot(dx, dy) || 1;
    const rim = Math.min(0.4, this.places.node / length);
    const share = rim + (along - leg) * (1 - 2 * rim);
    return { x: from.x + dx * share - 5 * dy / length, y: from.y + dy * share + 5 * dx / length };
  }

  message(line, t) {
    const part = line.due > line.t ? Math.min(1, (t - line.t) / (line.due - line.t)) : 1;
    const { x, y } = this.between([line.from, ...(line.via ?? []), line.to], part);
    const dot = this.put(this.flying, "circle", { class: "message", cx: x, cy: y, r: 5 });
    dot.style.setProperty("--hue", HUES[KINDS[line.kind]] ?? 0);
    this.put(dot, "title", {}).textContent = words(line);
  }

  loss(line) {
    const { x, y } = this.between([line.from, line.to], 0.35);
    const path = `M${x - 5} ${y - 5}l10 10m0 -10l-10 10`;
    const cross = this.put(this.flying, "path", { class: "lost", d: path });
    this.put(cross, "title", {}).textContent = words(line);
  }
}

/** Each member's log, in columns that are the same for all. */
class Logs {
  constructor(index) {
    this.box = byId("logs");
    this.head = this.row("");
    this.rows = new Map(index.head.members.map(({ node }) => [node, this.row(`log-${node}`)]));
  }

  row(id) {
    const [row, who, entries] = ["div", "span", "span"].map((name) => document.createElement(name));
    [row.className, who.className, entries.className, row.id] = ["log", "who", "entries", id];
    row.append(who, entries);
    this.box.append(row);
    return { row, who, entries, drawn: [] };
  }

  draw(moment) {
    const running = [...moment.members.values()].filter((line) => line.e === "member");
    const last = Math.max(COLUMNS, ...running.map((line) => line.last));
    const first = last - COLUMNS + 1;
    if (this.head.drawn[0] !== first) {
      this.head.drawn = [first];
      const heads = this.columns(first).map((at) => this.cell(at, "cell head"));
      this.head.entries.replaceChildren(...heads);
    }
    for (const [node, row] of this.rows) {
      const now = [moment.members.get(node), moment.terms.get(node), first, moment.configured];
      if (now.every((part, at) => part === row.drawn[at])) continue;
      row.drawn = now;
      this.fill(row, node, now);
    }
  }

  fill(row, node, [line, terms, first, configured]) {
    const up = line?.e === "member";
    const part = configured?.voters.includes(node) || configured?.outgoing.includes(node) ? ""
      : configured?.learners.includes(node) ? " (learner)" : configured ? " (no member)" : "";
    row.row.classList.toggle("down", !up);
    const says = up ? `${line.role}, ${state(line)}` : line?.why ?? "";
    row.who.textContent = `${node}${part} ${says}`;
    row.who.title = row.who.textContent;
    const entries = up ? this.columns(first) : [];
    row.entries.replaceChildren(...entries.map((at) => this.entry(at, line, terms ?? [])));
  }

  columns(first) {
    return Array.from({ length: COLUMNS }, (_, nth) => first + nth);
  }

  entry(at, line, terms) {
    const edge = at === line.commit ? " commit-line" : "";
    if (at > line.last) return this.cell("", "cell none");
    if (at <= line.start) return this.cell("s", `cell gone${edge}`);
    const term = terms.findLast(([from]) => from <= at)?.[1] ?? line.last_term;
    const known = at <= line.applied ? " applied" : at <= line.commit ? " committed"
      : at <= line.durable ? " durable" : "";
    const cell = this.cell(term, `cell term${known}${edge}`);
    cell.style.setProperty("--hue", term * 67 % 360);
    return cell;
  }

  cell(text, name) {
    const cell = document.createElement("span");
    [cell.textContent, cell.className] = [text, name];
    return cell;
  }
}

/** Operations above, faults below, over all the time there is. */
class Band {
  constructor(index, classes, seek) {
    this.index = index;
    this.classes = classes;
    this.canvas = byId("band");
    const asking = new Set([...index.asks.values()].map(({ line }) => line.client));
    const clients = [...asking].sort((a, b) => a - b);
    const high = clients.length > 12 ? 5 : 10;
    this.spans = [...index.asks.values()].map((span) =>
      ({ ...span, y: clients.indexOf(span.line.client) * high, high: high - 2, hue: 210 }));
    this.faultsFrom = clients.length * high + 8;
    const lanes = [];
    for (const span of index.happenings.values()) {
      const to = span.to ?? ("lasting" in span.line.with ? index.end : span.from);
      let lane = lanes.findIndex((free) => free <= span.from);
      if (lane < 0) lane = lanes.length;
      lanes[lane] = to + index.end / 60;
      const [label, y] = [span.line.what, this.faultsFrom + lane * 14];
      const hue = CLASS_HUES[classes[label]] ?? 0;
      this.spans.push({ ...span, to, y, high: 12, hue, label });
    }
    this.height = this.faultsFrom + Math.max(1, lanes.length) * 14 + 4;
    this.canvas.addEventListener("mousemove", (event) => this.say(event));
    this.canvas.addEventListener("click", (event) => seek(this.time(event)));
    const draw = () => this.draw();
    new ResizeObserver(draw).observe(this.canvas.parentElement);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    draw();
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    const scale = window.devicePixelRatio || 1;
    [this.canvas.width, this.canvas.height] = [width * scale, this.height * scale];
    this.canvas.style.height = `${this.height}px`;
    const pen = this.canvas.getContext("2d");
    const css = getComputedStyle(document.documentElement);
    const colour = (name) => css.getPropertyValue(name).trim();
    const x = (t) => t / this.index.end * width;
    pen.scale(scale, scale);
    const [saturation, lightness, text] = ["--dot-s", "--dot-l", "--text"].map(colour);
    pen.font = "10px system-ui, sans-serif";
    for (const { from, to, y, high, hue, label } of this.spans) {
      const wide = Math.max(2, x(to ?? this.index.end) - x(from));
      pen.globalAlpha = to === null ? 0.3 : 0.75;
      pen.fillStyle = `hsl(${hue} ${saturation} ${lightness})`;
      pen.fillRect(x(from), y + 1, wide, high);
      pen.globalAlpha = 1;
      pen.fillStyle = text;
      if (label) pen.fillText(label, x(from) + 2, y + high - 2);
    }
    const mark = (t, name) => {
      pen.fillStyle = colour(name);
      pen.fillRect(Math.min(x(t), width - 2), 0, 2, this.height);
    };
    mark(this.index.head.faults_end, "--faint");
    if (this.index.violation) mark(this.index.violation.line.t, "--bad");
  }

  time(event) {
    return Math.max(0, Math.min(1, event.offsetX / this.canvas.clientWidth)) * this.index.end;
  }

  say(event) {
    const [t, slack] = [this.time(event), 3 * this.index.end / this.canvas.clientWidth];
    const within = (low, value, high) => low <= value && value <= high;
    const on = this.spans.filter(({ from, to, y, high }) => within(y, event.offsetY, y + high + 1)
      && within(from - slack, t, (to ?? this.index.end) + slack));
    const says = on.slice(0, 3).map(({ line, ends }) =>
      `${words(line)} → ${ends ? words(ends) : "no end"}`);
    byId("band-says").textContent = `${seconds(t)} s  ${says.join(" | ")}`;
  }
}

/** What is shown, and how it is moved. */
class View {
  constructor(lines, classes) {
    this.index = new Index(lines);
    this.picture = new Picture(this.index);
    this.logs = new Logs(this.index);
    this.band = new Band(this.index, classes, (t) => this.seek(t));
    this.at = -1;
    this.speed = 2;
    this.playing = null;
    byId("slider").max = this.index.end;
    const speeds = SPEEDS.map((speed, nth) => new Option(`${speed / 1000} ms a second`, nth));
    byId("speed").replaceChildren(...speeds);
    const { violation } = this.index;
    byId("verdict").textContent = violation ? words(violation.line) : "No promise is broken.";
    byId("verdict").className = violation ? "broken" : "kept";
    byId("to-violation").hidden = !violation;
    this.listen();
    this.open();
  }

  listen() {
    const clicks = {
      first: () => this.show(0), last: () => this.show(this.index.lines.length - 1),
      back: () => this.show(this.at - 1), forth: () => this.show(this.at + 1),
      play: () => this.toggle(), "to-violation": () => this.violation(),
    };
    for (const [id, act] of Object.entries(clicks)) byId(id).addEventListener("click", act);
    byId("slider").addEventListener("input", () => this.seek(byId("slider").valueAsNumber));
    byId("speed").addEventListener("change", () => this.quicker(byId("speed").selectedIndex));
    byId("speed").selectedIndex = this.speed;
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("hashchange", () => this.open());
  }

  key(event) {
    if (event.target.tagName === "SELECT" || event.ctrlKey || event.altKey || event.metaKey) return;
    const weighty = (forth) => this.index.weightyFrom(this.at, forth);
    const { shiftKey } = event;
    const acts = {
      ArrowLeft: () => this.show(shiftKey ? weighty(false) : this.at - 1),
      ArrowRight: () => this.show(shiftKey ? weighty(true) : this.at + 1),
      Home: () => this.show(0), End: () => this.show(this.index.lines.length - 1),
      v: () => this.violation(),
      "+": () => this.quicker(this.speed + 1), "-": () => this.quicker(this.speed - 1),
      " ": event.target.tagName === "BUTTON" ? undefined : () => this.toggle(),
    };
    if (!Object.hasOwn(acts, event.key) || !acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  /** Where the address says; else at what is broken, else at the beginning. */
  open() {
    const [, key, value] = /^#(line|t)=(\d+)$/.exec(location.hash) ?? [];
    if (key === "t") this.seek(Number(value));
    else if (key === "line") this.show(Number(value) - 1);
    else this.show(this.index.violation?.at ?? 0);
  }

  violation() {
    if (this.index.violation) this.show(this.index.violation.at);
  }

  quicker(speed) {
    this.speed = Math.max(0, Math.min(SPEEDS.length - 1, speed));
    byId("speed").selectedIndex = this.speed;
  }

  toggle() {
    this.playing = this.playing === null ? performance.now() : null;
    if (this.playing !== null && this.at === this.index.lines.length - 1) this.show(0);
    byId("play").textContent = this.playing === null ? "Play" : "Pause";
    if (this.playing !== null) requestAnimationFrame((now) => this.frame(now));
  }

  frame(now) {
    if (this.playing === null) return;
    const t = this.t + Math.max(0, now - this.playing) / 1000 * SPEEDS[this.speed];
    this.playing = now;
    this.seek(Math.min(t, this.index.end));
    if (t >= this.index.end) this.toggle();
    else requestAnimationFrame((next) => this.frame(next));
  }

  /** Shows a time: all lines up to it. */
  seek(t) {
    this.draw(this.index.position(t), t);
  }

  /** Shows what is so after a line. */
  show(at) {
    const place = Math.max(0, Math.min(this.index.lines.length - 1, at));
    this.draw(place, this.index.lines[place].t);
  }

  draw(at, t) {
    const moment = this.index.moment(at, this.near);
    const moved = at !== this.at;
    [this.at, this.t, this.near] = [at, t, { at, moment }];
    this.picture.draw(moment, t, at, SPEEDS[this.speed]);
    byId("slider").value = t;
    byId("cursor").style.left = `${t / this.index.end * 100}%`;
    byId("clock").textContent =
      `${seconds(t)} s, ${moment.phase} phase, line ${at + 1} of ${this.index.lines.length}`;
    document.body.dataset.line = at + 1;
    if (!moved) return;
    this.logs.draw(moment);
    const list = (map) => [...map.values()].map((line) => words(line)).join(" | ") || "none";
    byId("faults").textContent = list(moment.faults);
    byId("asking").textContent = list(moment.asking);
    this.events(at);
  }

  events(at) {
    const from = Math.max(0, at - LINES_AROUND);
    const around = this.index.lines.slice(from, at + LINES_AROUND + 1);
    byId("events").replaceChildren(...around.map((line, nth) => {
      const entry = document.createElement("li");
      entry.textContent = `${seconds(line.t)} ${words(line)}`;
      entry.classList.toggle("now", from + nth === at);
      entry.classList.toggle("violation", line.e === "violation");
      entry.classList.toggle("weighty", ["down", "begin", "end", "note", "phase"].includes(line.e));
      entry.addEventListener("click", () => this.show(from + nth));
      return entry;
    }));
  }
}

window.addEventListener("error", (event) => {
  document.body.dataset.error = event.message;
});
const lines = byId("trace").textContent.trim().split("\n").map((line) => JSON.parse(line));
new View(lines, JSON.parse(byId("classes").textContent));
document.body.dataset.ready = lines.length;
