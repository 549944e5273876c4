// Shows the text of a recording that goes on, on its own page: as it comes by a socket, or as it is asked for.

import { part, write } from "../lib/dom.js";
import { LiveSocket, socketAddress } from "./socket.js";
import { GrowingText } from "./text.js";
import { Transcript } from "./transcript.js";

const box = part("growing");
const { home, socket, jobs, job } = box.dataset;
const transcript = new Transcript(new GrowingText(box), jobs, () => job);
const link = new LiveSocket({
  listens: true,
  may: () => true,
  address: () => socketAddress(`${home}${socket}`),
  first: () => ({ type: "watch", have: transcript.have, job: transcript.told }),
  take,
  changed: () => {
    transcript.speaks(link.state === "live");
    const why = link.restarts ? "The server is being started again." : "Reconnecting.";
    write(part("growing-note"), link.lost && !link.blocked ? `${why} Nothing is lost.` : "");
  },
});
transcript.start();
link.open();

function take(message) {
  if (message.type === "segment") transcript.take(message);
  // The job of this page was deleted, and somebody has begun another one.
  if (message.type === "job" && transcript.comesOf(message.job)) location.assign(`${home}jobs/${message.job}/`);
  if (message.type !== "done") return;
  link.close();
  // The page follows the job, and is loaded again at its end.
  document.dispatchEvent(new Event("news"));
}
