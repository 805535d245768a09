// Browsers start no workers for pages that are files: there the search runs in a hidden frame that behaves like one.
if (location.protocol === "file:")
  window.Worker = window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      inside.document.open();
      inside.document.write(`<body><script>
        postMessage = data => parent.postMessage(data, "*");
        importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((resolve, reject) =>
          document.body.append(Object.assign(document.createElement("script"), {src: url, onload: resolve, onerror: reject})))), Promise.resolve());
      <\/script><script src="${url}"><\/script></body>`);
      inside.document.close();
      this.ready = new Promise(resolve => inside.addEventListener("load", resolve));
      addEventListener("message", this.heard = event => {
        if (event.source !== inside) return;
        this.dispatchEvent(new MessageEvent("message", {data: event.data}));
        this.onmessage?.(event);
      });
    }
    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", {data: structuredClone(data)})));
    }
    terminate() {
      removeEventListener("message", this.heard);
      this.frame.remove();
    }
  };
