// iCE40 has no LUT RAM: a memory that is read without a clock would become flip-flops and multiplexers. Its block
// RAMs take any edge, so such a memory becomes one that is read on the falling edge of the clock that it is written
// on. As long as addresses come from registers on the rising edge that is the same, cycle by cycle: the address has
// the first half of a cycle, the data the second, and what was written at the cycle's beginning is there.
(* techmap_celltype = "$mem_v2" *)
module _read_on_the_falling_edge (
  RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, RD_DATA, WR_CLK, WR_EN, WR_ADDR, WR_DATA
);
  parameter MEMID = "";
  parameter SIZE = 2;
  parameter OFFSET = 0;
  parameter ABITS = 1;
  parameter WIDTH = 1;
  parameter INIT = 1'bx;
  parameter RD_PORTS = 1;
  parameter RD_CLK_ENABLE = 1'b0;
  parameter RD_CLK_POLARITY = 1'b0;
  parameter RD_TRANSPARENCY_MASK = 1'b0;
  parameter RD_COLLISION_X_MASK = 1'b0;
  parameter RD_WIDE_CONTINUATION = 1'b0;
  parameter RD_CE_OVER_SRST = 1'b0;
  parameter RD_ARST_VALUE = 1'b0;
  parameter RD_SRST_VALUE = 1'b0;
  parameter RD_INIT_VALUE = 1'b0;
  parameter WR_PORTS = 1;
  parameter WR_CLK_ENABLE = 1'b0;
  parameter WR_CLK_POLARITY = 1'b0;
  parameter WR_PRIORITY_MASK = 1'b0;
  parameter WR_WIDE_CONTINUATION = 1'b0;
  input [RD_PORTS-1:0] RD_CLK, RD_EN, RD_ARST, RD_SRST;
  input [RD_PORTS*ABITS-1:0] RD_ADDR;
  output [RD_PORTS*WIDTH-1:0] RD_DATA;
  input [WR_PORTS-1:0] WR_CLK;
  input [WR_PORTS*WIDTH-1:0] WR_EN;
  input [WR_PORTS*ABITS-1:0] WR_ADDR;
  input [WR_PORTS*WIDTH-1:0] WR_DATA;

  // Of a memory all ports are read without a clock, or all with the clock of its writing port.
  wire _TECHMAP_FAIL_ = |RD_CLK_ENABLE || !(&WR_CLK_ENABLE) || !(&WR_CLK_POLARITY);
  \$mem_v2 #(
    .MEMID(MEMID), .SIZE(SIZE), .OFFSET(OFFSET), .ABITS(ABITS), .WIDTH(WIDTH), .INIT(INIT),
    .RD_PORTS(RD_PORTS), .RD_CLK_ENABLE({RD_PORTS{1'b1}}), .RD_CLK_POLARITY({RD_PORTS{1'b0}}),
    .RD_TRANSPARENCY_MASK(RD_TRANSPARENCY_MASK), .RD_COLLISION_X_MASK(RD_COLLISION_X_MASK),
    .RD_WIDE_CONTINUATION(RD_WIDE_CONTINUATION), .RD_CE_OVER_SRST({RD_PORTS{1'b0}}),
    .RD_ARST_VALUE({RD_PORTS*WIDTH{1'bx}}), .RD_SRST_VALUE({RD_PORTS*WIDTH{1'bx}}),
    .RD_INIT_VALUE({RD_PORTS*WIDTH{1'bx}}),
    .WR_PORTS(WR_PORTS), .WR_CLK_ENABLE(WR_CLK_ENABLE), .WR_CLK_POLARITY(WR_CLK_POLARITY),
    .WR_PRIORITY_MASK(WR_PRIORITY_MASK), .WR_WIDE_CONTINUATION(WR_WIDE_CONTINUATION)
  ) memory (
    .RD_CLK({RD_PORTS{WR_CLK[0]}}), .RD_EN({RD_PORTS{1'b1}}), .RD_ARST({RD_PORTS{1'b0}}),
    .RD_SRST({RD_PORTS{1'b0}}), .RD_ADDR(RD_ADDR), .RD_DATA(RD_DATA),
    .WR_CLK(WR_CLK), .WR_EN(WR_EN), .WR_ADDR(WR_ADDR), .WR_DATA(WR_DATA)
  );
endmodule
