// The host's end of the Pico's USB serial port.
//
// rp2040js answers each read of the device at once, with an empty packet where there is nothing to
// say, which keeps the CPU busy for ever. A real host lets the device wait until there is data.

export function makeUsbSerial(USBCDC) {
  return class UsbSerial extends USBCDC {
    constructor(usb, onData) {
      super(usb);
      this.onSerialData = onData;
      this.queue = [];           // Buffers for the device
      this.room = 0;             // bytes that the device is ready to take now
      const answerControl = usb.onEndpointRead;
      usb.onEndpointRead = (endpoint, size) => {
        if (endpoint !== this.outEndpoint) return answerControl(endpoint, size);
        this.room = size;
        this.#pass();
      };
    }

    send(buffer) {
      this.queue.push(buffer);
      this.#pass();
    }

    get queuedBytes() {
      return this.queue.reduce((sum, buffer) => sum + buffer.length, 0);
    }

    #pass() {
      if (!this.room || !this.queue.length) return;
      const first = this.queue[0], packet = new Uint8Array(first.subarray(0, this.room));
      if (packet.length === first.length) this.queue.shift();
      else this.queue[0] = first.subarray(packet.length);
      this.room = 0;
      this.usb.endpointReadDone(this.outEndpoint, packet);
    }
  };
}
