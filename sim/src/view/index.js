// A trace by time: `Index` has all its lines, keeps what was so every so many of them, so that any
// moment is a few hundred lines away, and knows what spans of time there are; `words` says a line.
"use strict";

/** So many lines lie between two moments that are kept. */
const LINES_BETWEEN = 512;

/** What is so after a line. */
class Moment {
  constructor(from) {
    this.members = new Map(from?.members);
    this.terms = new Map(from?.terms);
    this.flights = new Map(from?.flights);
    this.faults = new Map(from?.faults);
    this.asking = new Map(from?.asking);
    this.phase = from?.phase ?? "";
    this.configured = from?.configured ?? null;
  }

  take(line) {
    switch (line.e) {
      case "member": case "down": this.members.set(line.node, line); break;
      case "log": this.terms.set(line.node, line.terms); break;
      case "sent": this.flights.set(line.id, line); break;
      case "delivered": case "lost": this.flights.delete(line.id); break;
      case "begin": if ("lasting" in line.with) this.faults.set(line.n, line); break;
      case "end": this.faults.delete(line.n); break;
      case "asks": this.asking.set(line.op, line); break;
      case "answered": this.asking.delete(line.op); break;
      case "phase": this.phase = line.phase; break;
      case "configured": this.configured = line; break;
    }
  }
}

/** All lines, by time, and what the band shows of them. */
class Index {
  constructor(lines) {
    this.lines = lines;
    this.head = lines[0];
    this.end = Math.max(1, lines[lines.length - 1].t);
    this.kept = [];
    this.weighty = [];
    this.lost = [];
    this.asks = new Map();
    this.happenings = new Map();
    this.violation = null;
    const moment = new Moment();
    lines.forEach((line, at) => {
      if (at % LINES_BETWEEN === 0) this.kept.push(new Moment(moment));
      if (this.weighs(line, moment)) this.weighty.push(at);
      this.note(line, at);
      moment.take(line);
    });
  }

  weighs(line, moment) {
    if (line.e === "member") return moment.members.get(line.node)?.role !== line.role;
    return ["down", "begin", "end", "note", "phase", "configured", "violation"].includes(line.e);
  }

  note(line, at) {
    switch (line.e) {
      case "lost": this.lost.push(at); break;
      case "violation": this.violation = { line, at }; break;
      case "begin": this.happenings.set(line.n, { line, from: line.t, to: null }); break;
      case "end": this.close(this.happenings.get(line.n), line); break;
      case "asks":
        if (!this.asks.has(line.op)) this.asks.set(line.op, { line, from: line.t, to: null });
        break;
      case "answered": this.close(this.asks.get(line.op), line); break;
    }
  }

  close(span, line) {
    if (span) [span.to, span.ends] = [line.t, line];
  }

  /** The last line that is not after a time. */
  position(t) {
    let [low, high] = [0, this.lines.length];
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if (this.lines[middle].t <= t) low = middle; else high = middle;
    }
    return low;
  }

  /** What is so after a line; `near` is a moment after another one, which may be on the way. */
  moment(at, near) {
    const kept = Math.min(Math.floor((at + 1) / LINES_BETWEEN), this.kept.length - 1);
    const goOn = near && near.at <= at && near.at + 1 >= kept * LINES_BETWEEN;
    const moment = goOn ? near.moment : new Moment(this.kept[kept]);
    const from = goOn ? near.at + 1 : kept * LINES_BETWEEN;
    for (let next = from; next <= at; next += 1) moment.take(this.lines[next]);
    return moment;
  }

  /** The weighty line after or before another. */
  weightyFrom(at, forth) {
    if (forth) return this.weighty.find((one) => one > at) ?? this.lines.length - 1;
    return this.weighty.findLast((one) => one < at) ?? 0;
  }
}

/** A line in words. */
function words(line) {
  const keys = (map) => Object.entries(map).map(([key, value]) => ` ${key}=${value}`).join("");
  switch (line.e) {
    case "holm": return `${line.world} world, ${line.members.length} members`;
    case "sent": {
      const via = (line.via ?? []).map((relay) => `${relay} > `).join("");
      const ends = `${line.from} > ${via}${line.to}`;
      return `${ends} sends #${line.id} ${line.kind} term=${line.term} ${line.says}`;
    }
    case "delivered": return `#${line.id} arrives`;
    case "lost": return `#${line.id} ${line.kind} ${line.from} > ${line.to} is lost: ${line.why}`;
    case "member": return `${line.node} is ${line.role}, ${state(line)}`;
    case "down": return `${line.node} is down: ${line.why}`;
    case "log": {
      const terms = line.terms.map(([at, term]) => `${term} from ${at}`);
      return `${line.node} has terms ${terms.join(", ")}`;
    }
    case "configured":
      return `entry ${line.index} is applied: voters ${line.voters.join(" ")}`
        + (line.outgoing.length ? `; together with ${line.outgoing.join(" ")}` : "")
        + (line.learners.length ? `; learners ${line.learners.join(" ")}` : "");
    case "begin": return `${line.what} begins (${line.n})${keys(line.with)}`;
    case "end": return `${line.what} ends (${line.n})`;
    case "note": return line.says;
    case "said": return `${line.node} says ${line.says}`;
    case "asks":
      return `client ${line.client} asks ${line.at}: ${line.what} k${line.key} ${line.value}`
        + ` (op ${line.op}${line.again ? `, attempt ${line.again + 1}` : ""})`;
    case "answered": return `client ${line.client} is answered ${line.value} (op ${line.op})`;
    case "phase": return `the ${line.phase} phase begins`;
    case "violation": return `BROKEN: ${line.checker}: ${line.says}`;
    default: return line.e;
  }
}

const state = (line) => `term ${line.term}, log (${line.start}, ${line.last}@${line.last_term}]`
  + ` durable ${line.durable} commit ${line.commit} applied ${line.applied}`;
