// The search of a page that is opened from disk: browsers start no Worker there, so it runs in a
// hidden frame. Served by us, since a page must load nothing from other hosts.
class FrameWorker extends EventTarget {
  constructor(url) {
    super();
    this.frame = document.createElement("iframe");
    this.frame.hidden = true;
    document.body.appendChild(this.frame);
    const inside = this.frame.contentWindow;
    window.addEventListener("message", (event) => {
      if (event.source !== inside) return;
      event.stopImmediatePropagation();
      const answer = new MessageEvent("message", { data: event.data });
      this.dispatchEvent(answer);
      if (typeof this.onmessage === "function") this.onmessage(answer);
    });
    const load = `
      postMessage = (data) => parent.postMessage(data, "*");
      importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((done) => {
        const script = document.createElement("script");
        script.src = url;
        script.onload = done;
        document.body.appendChild(script);
      })), Promise.resolve());`;
    inside.document.open();
    inside.document.write(
      `<html><body><script>${load}<\/script><script src="${url}"><\/script></body></html>`
    );
    inside.document.close();
    this.ready = new Promise((done) => inside.addEventListener("load", done));
  }

  postMessage(data) {
    this.ready.then(() =>
      this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }))
    );
  }

  terminate() {
    this.frame.remove();
  }
}

if (location.protocol === "file:") window.Worker = FrameWorker;
