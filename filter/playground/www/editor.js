// A textarea with line numbers, colours and marks. The text is the textarea's own; the rest is painted behind it.
import { make } from './dom.js';

/** Longer texts are not painted: it would take longer than typing. */
const LONGEST_PAINTED = 60_000;
const MOST_LINES = 5_000;
const TOKENS = /("(?:[^"\\\n]|\\.)*"?)(\s*:)?|-?\d[\d.eE+-]*|\b(?:true|false|null)\b/g;

export class Editor {
  #frame;
  #area;
  #gutter;
  #paint;
  #faults = [];

  constructor(frame, changed) {
    this.#frame = frame;
    this.#area = frame.querySelector('textarea');
    this.#gutter = layer(frame.querySelector('.gutter'));
    this.#paint = layer(frame.querySelector('.paint'));
    this.#area.addEventListener('input', () => {
      this.#faults = [];
      this.#draw();
      changed();
    });
    this.#area.addEventListener('scroll', () => this.#follow());
  }

  get text() {
    return this.#area.value;
  }

  set text(text) {
    this.#area.value = text;
    this.#area.scrollTo(0, 0);
    this.mark([]);
  }

  /** Marks the lines of these faults. */
  mark(faults) {
    this.#faults = faults;
    this.#area.setAttribute('aria-invalid', String(faults.length > 0));
    this.#draw();
  }

  /** Puts the cursor where a fault is. */
  go({ line, column }) {
    const lines = this.text.split('\n');
    const before = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
    const current = [...(lines[line - 1] ?? '')];
    const start = before + current.slice(0, column - 1).join('').length;
    this.#area.focus();
    this.#area.setSelectionRange(start, before + current.join('').length);
    const height = this.#area.scrollHeight / Math.max(lines.length, 1);
    this.#area.scrollTop = Math.max(0, (line - 4) * height);
    this.#area.scrollLeft = 0;
  }

  #draw() {
    const lines = this.text.split('\n');
    const marked = new Map();
    for (const fault of this.#faults) marked.set(fault.line, `${marked.get(fault.line) ?? ''}${fault.message}\n`);
    const numbers = lines.slice(0, MOST_LINES).map((_, index) => {
      const number = make('span', {}, String(index + 1));
      if (marked.has(index + 1)) Object.assign(number, { className: 'fault', title: marked.get(index + 1).trim() });
      return number;
    });
    this.#gutter.replaceChildren(...numbers);
    const bare = this.text.length > LONGEST_PAINTED;
    this.#frame.classList.toggle('bare', bare);
    this.#paint.replaceChildren(...(bare ? [] : lines.flatMap((line, index) => painted(line, marked.has(index + 1)))));
    this.#follow();
  }

  #follow() {
    const { scrollTop, scrollLeft } = this.#area;
    this.#gutter.style.transform = `translateY(${-scrollTop}px)`;
    this.#paint.style.transform = `translate(${-scrollLeft}px, ${-scrollTop}px)`;
  }
}

/** What is moved along with the text: it has no scroll bars, and so would come to its end before the text does. */
function layer(frame) {
  const inner = make('div', { className: 'layer' });
  frame.replaceChildren(inner);
  return inner;
}

function painted(line, bad) {
  const parts = [];
  let from = 0;
  for (const match of line.matchAll(TOKENS)) {
    parts.push(line.slice(from, match.index));
    const [whole, string, colon] = match;
    const kind = string === undefined ? 'v' : colon === undefined ? 's' : 'k';
    parts.push(make('span', { className: kind }, string ?? whole), colon ?? '');
    from = match.index + whole.length;
  }
  parts.push(line.slice(from));
  if (!bad) return [...parts, '\n'];
  const indent = line.length - line.trimStart().length;
  if (parts[0].length >= indent) parts[0] = parts[0].slice(indent);
  return [line.slice(0, indent), make('span', { className: 'bad' }, ...parts), '\n'];
}
