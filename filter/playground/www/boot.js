// Where the program itself cannot be had, the page says so.
import('./main.js').catch((error) => {
  const notice = document.getElementById('broken');
  notice.hidden = false;
  notice.textContent = `The policy engine could not be loaded (${error.message}). It has to come from a web server, not from a file: scripts/playground --serve is one.`;
});
