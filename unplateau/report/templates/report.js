(() => {
  'use strict';
  const SHOWN = 8;
  const number = (text) => { const value = parseFloat(text.replace(/,/g, '')); return Number.isFinite(value) ? value : null; };
  const shape = (name, attributes) => {
    const made = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    return made;
  };

  function readTable(figure) {
    const table = figure.querySelector('table.data');
    const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
    const rows = [...table.tBodies[0].rows].map((row) => {
      const texts = [...row.cells].map((cell) => cell.textContent);
      return { x: number(texts[0]), texts: texts.slice(1), values: texts.slice(1).map(number) };
    });
    return { names, rows, heading: table.tHead.rows[0].cells[0].textContent };
  }

  class Plot {
    constructor(figure) {
      this.figure = figure;
      this.frame = figure.querySelector('.plot');
      this.svg = figure.querySelector('svg.chart');
      this.out = figure.querySelector('.readout');
      this.series = new Map([...this.svg.querySelectorAll('.series')].map((one) => [Number(one.dataset.series), one]));
      this.buttons = [...figure.querySelectorAll('.legend button')];
      this.at = -1;
      this.svg.addEventListener('pointermove', (event) => this.onPointer(event));
      this.frame.addEventListener('pointermove', (event) => this.onPointer(event));
      this.frame.addEventListener('pointerleave', () => this.clear());
      this.frame.addEventListener('keydown', (event) => this.onKey(event));
      this.frame.addEventListener('blur', () => this.clear());
      for (const button of this.buttons) {
        const which = Number(button.dataset.series);
        for (const kind of ['pointerenter', 'focus']) button.addEventListener(kind, () => plots.forEach((plot) => plot.lightName(button.dataset.name, plot === this ? which : null)));
        for (const kind of ['pointerleave', 'blur']) button.addEventListener(kind, () => plots.forEach((plot) => plot.light(null)));
      }
    }
    get data() { return (this.known ??= readTable(this.figure)); }
    xPlace(x) { const [low, high] = this.svg.dataset.x.split(' ').map(Number); return (x - low) / (high - low); }
    yPlace(y) {
      const [low, high, kind] = this.svg.dataset.y.split(' ');
      const a = Number(low), b = Number(high);
      return 1 - (kind === 'log' ? Math.log(y / a) / Math.log(b / a) : (y - a) / (b - a));
    }
    onPointer(event) {
      const box = this.svg.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      const height = (event.clientY - box.top) / box.height;
      if (share < -0.05 || share > 1.05) return this.clear();
      let best = 0;
      this.data.rows.forEach((row, place) => {
        if (Math.abs(this.xPlace(row.x) - share) < Math.abs(this.xPlace(this.data.rows[best].x) - share)) best = place;
      });
      this.show(best, height);
    }
    onKey(event) {
      const last = this.data.rows.length - 1;
      const next = { ArrowRight: Math.min(last, this.at + 1), ArrowLeft: Math.max(0, this.at < 0 ? last : this.at - 1), Home: 0, End: last }[event.key];
      if (event.key === 'Escape') this.clear();
      if (next === undefined) return;
      event.preventDefault();
      this.show(next, null);
    }
    visible(which) { const one = this.series.get(which); return one && !one.classList.contains('off'); }
    show(place, height) {
      this.clear();
      this.at = place;
      const row = this.data.rows[place];
      let known = row.values.map((value, which) => ({ value, which })).filter((one) => one.value !== null && this.visible(one.which));
      if (!known.length) return;
      let nearest = null;
      if (known.length > 1 && height !== null) {
        nearest = known.reduce((a, b) => (Math.abs(this.yPlace(a.value) - height) <= Math.abs(this.yPlace(b.value) - height) ? a : b)).which;
        if (known.length > SHOWN) this.light(nearest);
      }
      const x = `${100 * this.xPlace(row.x)}%`;
      this.cursor = shape('g', { 'aria-hidden': 'true' });
      this.cursor.append(shape('line', { class: 'cursor', x1: x, x2: x, y1: 0, y2: '100%' }));
      if (known.length > SHOWN) {
        const first = known.find((one) => one.which === nearest);
        known = [...known].sort((a, b) => b.value - a.value).slice(0, SHOWN);
        if (first && !known.includes(first)) known = [first, ...known.slice(0, SHOWN - 1)];
      }
      this.out.replaceChildren();
      const head = document.createElement('b');
      head.textContent = `${this.data.heading} ${row.x}`;
      this.out.append(head);
      for (const { value, which } of known) {
        const style = this.series.get(which).getAttribute('class').split(' ').find((name) => /^(c\d|muted)$/.test(name)) || 'c1';
        const line = document.createElement('div');
        line.className = style;
        const mark = document.createElement('span');
        mark.className = 'c';
        const words = this.data.names.length > 1 ? `${this.data.names[which]}: ${row.texts[which]}` : row.texts[which];
        line.append(mark, words);
        if (which === nearest && this.data.names.length > 1) line.style.fontWeight = '650';
        this.out.append(line);
        this.cursor.append(shape('circle', { class: `spot ${style}`, cx: x, cy: `${100 * this.yPlace(value)}%`, r: 4 }));
      }
      this.svg.append(this.cursor);
      const isLeft = this.xPlace(row.x) < 0.5;
      this.out.style.left = isLeft ? 'auto' : '';
      this.out.style.right = isLeft ? '1rem' : 'auto';
    }
    clear() { this.cursor?.remove(); this.cursor = null; this.out.replaceChildren(); this.light(null); this.at = -1; }
    light(which) {
      this.svg.classList.toggle('lit-any', which !== null);
      this.series.forEach((one, key) => one.classList.toggle('lit', key === which));
      for (const button of this.buttons) button.classList.toggle('lit', Number(button.dataset.series) === which);
    }
    nameOf(which) { return this.series.get(which).querySelector('title').textContent; }
    lightName(name, known) {
      if (!document.querySelector('table.picks') && known === null) return;
      const found = known ?? [...this.series.keys()].find((which) => this.nameOf(which) === name);
      this.light(found === undefined ? null : found);
    }
    pick(names) {
      for (const button of this.buttons) button.parentElement.classList.toggle('off', !names.has(button.dataset.name));
      for (const [which, one] of this.series) one.classList.toggle('off', !names.has(this.nameOf(which)));
    }
  }

  const plots = [...document.querySelectorAll('figure')].filter((one) => one.querySelector('.plot.line')).map((one) => new Plot(one));

  function makeSortable(table) {
    const shift = table.classList.contains('picks') ? 1 : 0;
    [...table.tHead.rows[0].cells].slice(shift).forEach((head, column) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener('click', () => {
        const isUp = head.getAttribute('aria-sort') === 'descending';
        for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
        head.setAttribute('aria-sort', isUp ? 'ascending' : 'descending');
        const key = (row) => { const cell = row.cells[column + shift]; return cell.dataset.order === undefined ? cell.textContent : Number(cell.dataset.order); };
        const sign = isUp ? 1 : -1;
        const rows = [...table.tBodies[0].rows].sort((a, b) => {
          const [p, q] = [key(a), key(b)];
          return sign * (typeof p === 'number' && typeof q === 'number' ? p - q : String(p).localeCompare(String(q), undefined, { numeric: true }));
        });
        table.tBodies[0].append(...rows);
      });
    });
  }
  const sign = document.querySelector('.alive');
  function lookForLife() {
    const written = Number(sign.dataset.written), quiet = Date.now() / 1000 - written;
    if (quiet <= Number(sign.dataset.due)) return;
    const since = new Date(1000 * written).toLocaleString();
    const ago = quiet < 5400 ? `${Math.round(quiet / 60)} minutes` : quiet < 172800 ? `${Math.round(quiet / 3600)} hours` : `${Math.round(quiet / 86400)} days`;
    sign.classList.add('late');
    const now = document.getElementById('now-title');
    if (now) now.textContent = 'When this was written';
    sign.querySelector('.state').textContent = `No sign of life since ${since}, ${ago} ago. Reload; if this stays, the process is gone (killed, or the machine is off), and ${document.body.classList.contains('run') ? 'its command with --resume' : 'the same command'} goes on;`;
    const verdict = document.querySelector('.verdict');
    verdict.textContent = verdict.textContent.replace(/^Training now/, `No sign of life since ${since}`).replace('training now', 'training when this was written');
    verdict.classList.replace('open', 'bad');
  }
  if (sign) { lookForLife(); setInterval(lookForLife, 30000); }
  document.querySelectorAll('table.sortable').forEach(makeSortable);

  document.querySelectorAll('table.picks').forEach((table) => {
    const boxes = [...table.querySelectorAll('input[type=checkbox]')];
    const update = () => { const names = new Set(boxes.filter((box) => box.checked).map((box) => box.dataset.name)); plots.forEach((plot) => plot.pick(names)); };
    boxes.forEach((box) => box.addEventListener('change', update));
    const tools = document.createElement('div');
    tools.className = 'tools';
    const search = document.createElement('input');
    search.type = 'search';
    search.placeholder = 'find a run';
    search.setAttribute('aria-label', 'find a run');
    search.addEventListener('input', () => {
      for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(search.value.toLowerCase());
    });
    const setAll = (isOn) => { boxes.forEach((box) => { if (!box.closest('tr').hidden) box.checked = isOn; }); update(); };
    const make = (words, act) => { const one = document.createElement('button'); one.type = 'button'; one.textContent = words; one.addEventListener('click', act); return one; };
    tools.append(search, make('show all found', () => setAll(true)), make('hide all found', () => setAll(false)));
    table.closest('.scroll').before(tools);
  });
})();
