// A Modbus TCP device made of the npm package modbus-serial, an implementation that shares nothing with pymodbus.
//   node modbus_serial.js <port> <unit>     (NODE_PATH says where the package is)
// Says "ready" and then each write as a line of JSON; takes lines of JSON: {"discrete": [address, bit]},
// {"coil": [address, bit]}, {"refuse": code} (0: no more). It has the addresses 0 to 99; others are refused with 2.
"use strict";
const readline = require("readline");
const { ServerTCP } = require("modbus-serial");

const SIZE = 100;
const coils = new Array(SIZE).fill(false);
const discrete = new Array(SIZE).fill(false);
let refuse = 0;

const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");

function checked(address, work) {
  if (refuse) throw { modbusErrorCode: refuse };
  if (address >= SIZE) throw { modbusErrorCode: 2 };
  return work();
}

const vector = {
  getCoil: async (address) => checked(address, () => coils[address]),
  getDiscreteInput: async (address) => checked(address, () => discrete[address]),
  setCoil: async (address, on) => checked(address, () => { coils[address] = on; tell({ coil: address, on }); }),
  setRegister: async (address, value) => checked(address, () => tell({ register: address, value })),
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const said = JSON.parse(line);
  if (said.discrete) discrete[said.discrete[0]] = said.discrete[1];
  if (said.coil) coils[said.coil[0]] = said.coil[1];
  if ("refuse" in said) refuse = said.refuse;
  tell({ took: said });
}).on("close", () => process.exit(0));

const server = new ServerTCP(vector, { host: "127.0.0.1", port: Number(process.argv[2]), unitID: Number(process.argv[3]) });
server.on("initialized", () => tell("ready"));
server.on("socketError", () => {});
server.on("serverError", (error) => { process.stderr.write(String(error) + "\n"); process.exit(1); });
