#pragma once
const char* small_isa();
