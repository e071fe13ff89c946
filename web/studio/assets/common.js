// What every part of the page shares in the browser.
window.facecloak = {
  root: "/studio",
  tab: null,
  waiting: [],

  setTab(id) {
    if (!id) return;
    this.tab = id;
    this.waiting.splice(0).forEach((go) => go(id));
  },

  ready() {
    return this.tab ? Promise.resolve(this.tab) : new Promise((go) => this.waiting.push(go));
  },

  // words("{n} of {all}", {n: 1, all: 3})
  words(text, values) {
    return text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? values[name] : all));
  },

  // make("button", {class: "x", onclick: f}, "text", child)
  make(tag, attributes, ...children) {
    const one = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) one.addEventListener(name.slice(2), value);
      else one.setAttribute(name, value === true ? "" : value);
    }
    one.append(...children);
    return one;
  },

  // Sends files as a job: parts is {part: File}. Resolves to the job's id; rejects with words for people.
  async handIn(kind, parts, onPercent, brokenWords) {
    const tab = await this.ready();
    const form = new FormData();
    form.append("kind", kind);
    for (const [part, file] of Object.entries(parts)) form.append(part, file, file.name);
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", `${this.root}/jobs`);
      request.setRequestHeader("X-Facecloak-Tab", tab);
      request.responseType = "json";
      request.upload.onprogress = (event) => event.total && onPercent(Math.floor((100 * event.loaded) / event.total));
      request.onload = () => {
        const answer = request.response || {};
        if (request.status >= 200 && request.status < 300) resolve(answer.id);
        else reject(new Error(answer.detail || brokenWords));
      };
      request.onerror = request.onabort = () => reject(new Error(brokenWords));
      request.send(form);
    });
  },
};
