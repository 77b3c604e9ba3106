// nodemailer's parts as people put them together: smtp-server, mailparser, undici, one POST a mail, nothing stored.
const { SMTPServer } = require("smtp-server");
const { simpleParser } = require("mailparser");
const { Pool } = require("undici");

const [port, url] = [Number(process.argv[2]), new URL(process.argv[3])];
const pool = new Pool(url.origin, { connections: 20 });

async function send(mail, envelope) {
  const message = {
    from: mail.from && mail.from.text,
    to: envelope.rcptTo.map((one) => one.address),
    subject: mail.subject,
    headers: Object.fromEntries(mail.headerLines.map((one) => [one.key, one.line.slice(one.key.length + 1).trim()])),
    text_body: mail.text,
    html_body: mail.html || undefined,
    attachments: mail.attachments.map((one) => ({ name: one.filename, content: one.content.toString("base64") })),
  };
  const answer = await pool.request({
    path: url.pathname,
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ messages: [message] }),
  });
  await answer.body.dump();
  if (answer.statusCode !== 202) throw new Error("later");
}

new SMTPServer({
  disabledCommands: ["AUTH", "STARTTLS"],
  disableReverseLookup: true,
  size: 50000000,
  onData(stream, session, done) {
    simpleParser(stream)
      .then((mail) => send(mail, session.envelope))
      .then(() => done(), done);
  },
}).listen(port, "127.0.0.1");
