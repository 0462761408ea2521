// Behavioural models of three Lattice ECP5 primitives, for simulation only. Port and parameter names are the
// device's; the modes that sat_hdl uses are modelled, and every other one stops the simulation.

// The file holds three modules, and ports that the modelled modes ignore keep the port lists complete, save for the cascade
// inputs SRIA and SRIB, which must stay open: no route leads to them from the fabric.
/* verilator lint_off DECLFILENAME */
/* verilator lint_off UNUSEDSIGNAL */
/* verilator lint_off UNUSEDPARAM */

// 18 x 18 multiplier: unsigned, operands from the fabric, input and output registers on CLK0 (latency 2), and
// those between if wanted (latency 3).
module MULT18X18D #(
    parameter REG_INPUTA_CLK = "NONE",
    parameter REG_INPUTB_CLK = "NONE",
    parameter REG_INPUTC_CLK = "NONE",
    parameter REG_PIPELINE_CLK = "NONE",
    parameter REG_OUTPUT_CLK = "NONE",
    parameter GSR = "ENABLED"
) (
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input CLK3, CLK2, CLK1, CLK0,
    input CE3, CE2, CE1, CE0,
    input RST3, RST2, RST1, RST0,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17,
    P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
    initial begin
        if (REG_INPUTA_CLK != "CLK0" || REG_INPUTB_CLK != "CLK0" || REG_OUTPUT_CLK != "CLK0")
            $fatal(1, "MULT18X18D is modelled only with input and output registers on CLK0");
        if (REG_INPUTC_CLK != "NONE" || (REG_PIPELINE_CLK != "NONE" && REG_PIPELINE_CLK != "CLK0"))
            $fatal(1, "MULT18X18D is modelled only without its C register, and with pipeline registers on CLK0");
    end

    reg [17:0] a, b;
    reg [35:0] inner, p;
    wire [35:0] product = {18'd0, a} * {18'd0, b};
    always @(posedge CLK0) begin
        if (SIGNEDA || SIGNEDB || SOURCEA || SOURCEB)
            $fatal(1, "MULT18X18D is modelled only unsigned, with operands from the fabric");
        if (RST0 || !CE0)
            $fatal(1, "MULT18X18D is modelled only with CE0 high and RST0 low");
        a <= {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
        b <= {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
        inner <= product;
        p <= REG_PIPELINE_CLK == "CLK0" ? inner : product;
    end
    assign {
        P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
        P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
    } = p;
endmodule

// Two LUT4 with a carry chain through them. In each half the sum is LUT4 ^ carry-in, and the carry-out is
// carry-in where LUT4 is 1, else the LUT2 of A and B held in INIT[3:0]. INJECT1 = "YES" cuts the carry.
module CCU2C #(
    parameter [15:0] INIT0 = 16'h0000,
    parameter [15:0] INIT1 = 16'h0000,
    parameter INJECT1_0 = "YES",
    parameter INJECT1_1 = "YES"
) (
    input CIN, A0, B0, C0, D0, A1, B1, C1, D1,
    output S0, S1, COUT
);
    wire propagate0 = INIT0[{D0, C0, B0, A0}];
    wire propagate1 = INIT1[{D1, C1, B1, A1}];
    wire generate0 = INJECT1_0 != "YES" && INIT0[{2'b00, B0, A0}];
    wire generate1 = INJECT1_1 != "YES" && INIT1[{2'b00, B1, A1}];
    wire carry0 = propagate0 ? CIN : generate0;

    assign S0 = propagate0 ^ (INJECT1_0 != "YES" && CIN);
    assign S1 = propagate1 ^ (INJECT1_1 != "YES" && carry0);
    assign COUT = propagate1 ? carry0 : generate1;
endmodule

// 512 words of 36 bits, written at A and read at B, with output registers (latency 2). Of a word the lower half comes out
// at A, the upper one at B. Address pins 0 to 3 of A enable bytes of 9 bits; here it is all of them or none.
module DP16KD #(
    parameter DATA_WIDTH_A = 18,
    parameter DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG",
    parameter REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC",
    parameter GSR = "ENABLED"
) (
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2,
    DIA1, DIA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2,
    DIB1, DIB0,
    input CLKA, CEA, OCEA, WEA, RSTA, CSA0, CSA1, CSA2,
    input CLKB, CEB, OCEB, WEB, RSTB, CSB0, CSB1, CSB2,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2,
    DOA1, DOA0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2,
    DOB1, DOB0
);
    initial begin
        if (DATA_WIDTH_A != 36 || DATA_WIDTH_B != 36 || REGMODE_A != "OUTREG" || REGMODE_B != "OUTREG")
            $fatal(1, "DP16KD is modelled only with 36 bits and output registers");
    end

    reg [35:0] memory [0:511];
    reg [35:0] word, out;
    wire [8:0] write = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5};
    wire [8:0] read = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5};
    wire [3:0] bytes = {ADA3, ADA2, ADA1, ADA0};
    always @(posedge CLKA) begin
        if (!CEA || !WEA || WEB || RSTA || RSTB || OCEA != OCEB)
            $fatal(1, "DP16KD is modelled only with CEA and WEA high, WEB and resets low, OCEA and OCEB alike");
        if (bytes[0]) memory[write][8:0] <= {DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
        if (bytes[1]) memory[write][17:9] <= {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9};
        if (bytes[2]) memory[write][26:18] <= {DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
        if (bytes[3]) memory[write][35:27] <= {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9};
        if (CEB) word <= memory[read];
        if (OCEB) out <= word;
    end
    assign {
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1,
        DOB0,
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1,
        DOA0
    } = out;
endmodule
/* verilator lint_on UNUSEDPARAM */
/* verilator lint_on UNUSEDSIGNAL */
/* verilator lint_on DECLFILENAME */
